/*
 * The route table: one line for each endpoint, and the only place to list one.
 * ROUTE(name, path, methods, flags) is served by endpoint_NAME() in
 * endpoints/NAME.c and counted as endpoint="NAME". A path may end in {word},
 * which stands for one segment and reaches the handler as request->parameter.
 * The build fails for a path that stands here twice, and for one in which
 * anything follows the {word} (scripts/check-routes.c).
 * GET brings HEAD with it, and every path answers OPTIONS. EXERCISE routes are
 * those that --no-exercise turns off; they refuse what a browser marks as
 * another website's request.
 */
ROUTE(root, "/", GET, 0)
ROUTE(health, "/health", GET, 0)
ROUTE(ready, "/ready", GET, 0)
ROUTE(bye, "/bye", GET, 0)
ROUTE(version, "/version", GET, 0)
ROUTE(live, "/live", GET, 0)
ROUTE(riseload, "/riseload", GET | POST | DELETE, EXERCISE)
ROUTE(status, "/status/{code}", GET, EXERCISE)
ROUTE(delay, "/delay/{seconds}", GET, EXERCISE)
ROUTE(crash, "/crash", POST, EXERCISE)
ROUTE(hang, "/hang", POST, EXERCISE)
