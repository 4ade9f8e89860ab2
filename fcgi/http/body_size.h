#ifndef BODY_SIZE_H
#define BODY_SIZE_H

/*
 * The sizes of BODY(size) in routes.def. scripts/check-routes.c refuses others.
 */
#define BODY_SIZES(SIZE)                                                       \
	SIZE(16K, 14)                                                          \
	SIZE(32K, 15)                                                          \
	SIZE(64K, 16)                                                          \
	SIZE(128K, 17)                                                         \
	SIZE(256K, 18)                                                         \
	SIZE(512K, 19)                                                         \
	SIZE(1M, 20)                                                           \
	SIZE(2M, 21)                                                           \
	SIZE(4M, 22)                                                           \
	SIZE(8M, 23)                                                           \
	SIZE(16M, 24)                                                          \
	SIZE(32M, 25)                                                          \
	SIZE(64M, 26)

#endif
