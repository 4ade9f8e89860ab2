#ifndef CGI_COMMAND_H
#define CGI_COMMAND_H

/*
 * Answer the request in the environment and on standard input (RFC 3875), with
 * the same routes and counters as the pool. Returns the exit status.
 */
int cgi_command(void);

#endif
