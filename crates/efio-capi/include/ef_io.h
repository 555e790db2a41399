/*
 * The header of the original efio, for programs that were written for it. All of it is in efio.h;
 * docs/C-API.md has the differences.
 */
#ifndef EF_IO_H_INCLUDED
#define EF_IO_H_INCLUDED

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "efio.h"

/*
 * The original accepts every byte at once, in memory without a bound, and programs rely on it. Here
 * memory has a bound, and ef_write_all waits for the disk when it is reached. Programs that check
 * what ef_write returns include efio.h, where ef_write never waits.
 */
#define ef_write ef_write_all

#endif /* EF_IO_H_INCLUDED */
