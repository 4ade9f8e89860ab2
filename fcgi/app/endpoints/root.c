/*
 * GET /: the status page for browsers, a greeting in JSON for other clients.
 */
#include "app/endpoints/page/page.h"
#include "http/router.h"

void
endpoint_root(const struct request *request, struct response *response)
{
	if (request_accepts(request, "text/html")) {
		response->status = 200;
		response->content_type = "text/html; charset=utf-8";
		response->body = (const char *)page_html;
		response->body_length = page_html_length;
		response_header(
		    response, "Content-Security-Policy", page_policy);
	} else {
		response_text(response, 200, "{\"msg\": \"Hello World\"}");
	}
	response_header(response, "Vary", "Accept");
}
