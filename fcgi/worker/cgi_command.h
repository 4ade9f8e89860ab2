#ifndef CGI_COMMAND_H
#define CGI_COMMAND_H

/*
 * Answer the one request that the environment and standard input describe
 * (RFC 3875), on the same routes and counters as the pool. Returns the exit
 * status.
 */
int cgi_command(void);

#endif
