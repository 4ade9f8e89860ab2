#ifndef PROGRAM_H
#define PROGRAM_H

/*
 * The name of the program. No other C file contains the name, comments
 * included, so a name of another length changes no layout. PROGRAM_VARIABLES
 * begins the environment variables of options, PROGRAM_METRICS the metrics of
 * the program itself. scripts/rename changes all three.
 */
#define PROGRAM_NAME      "fcgi-webapp"
#define PROGRAM_VARIABLES "FCGI_WEBAPP_"
#define PROGRAM_METRICS   "fcgi_webapp_"

#endif
