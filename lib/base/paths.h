/* SPDX-License-Identifier: BSD-2-Clause */
/* paths.h - where things of this user are when nobody says. */
#ifndef VMB_BASE_PATHS_H
#define VMB_BASE_PATHS_H

#include <stddef.h>

/*
 * VMB_SOCKET if set; root: /run/vmbypass/vmbd.sock; others:
 * $XDG_RUNTIME_DIR/vmbypass/vmbd.sock, or /tmp/vmbypass-UID/vmbd.sock without
 * that variable. The control socket of vmbctl is the same with ".ctl" behind.
 * -ENAMETOOLONG: does not fit in size bytes (at most what sun_path holds).
 */
int vmb_default_socket(char *path, size_t size);

#define VMB_CONF_SYSTEM "/etc/vmbypass/vmbypass.conf"

/*
 * The user's own file of settings: $XDG_CONFIG_HOME/vmbypass/vmbypass.conf, or
 * ~/.config/vmbypass/vmbypass.conf. -ENOENT: neither variable is set;
 * -ENAMETOOLONG.
 */
int vmb_user_conf(char *path, size_t size);

#endif
