#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * FNV-1a with 64 bits, http://www.isthe.com/chongo/tech/comp/fnv/. It finds
 * places in hash tables and detects damage. It is no defence against somebody
 * who chooses the bytes.
 */

/* The hash of no bytes. */
#define HASH_START UINT64_C(0xcbf29ce484222325)

/* The hash of some bytes after others: `hash` is that of the bytes before. */
static inline uint64_t
hash_add(uint64_t hash, const void *bytes, size_t size)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

#endif
