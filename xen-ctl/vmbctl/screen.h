/* SPDX-License-Identifier: BSD-2-Clause */
/* screen.h - a terminal that is redrawn, and put back as it was. */
#ifndef VMBCTL_SCREEN_H
#define VMBCTL_SCREEN_H

#include <stdbool.h>
#include <stdio.h>

/* Take over the terminal; also a signal that ends us puts it back. */
int vmb_screen_open(void);
void vmb_screen_close(void);

/*
 * Show text (the reference is taken) instead of what is there, cut to the size
 * of the terminal.
 */
void vmb_screen_draw(char *text);

/*
 * Sleep; returns a key that was pressed, 0 after the time or a resize. After a
 * resize the text was drawn again.
 */
int vmb_screen_wait(unsigned timeout_ms);

#endif
