// SPDX-License-Identifier: BSD-2-Clause
/*
 * listen.c - see listen.h.
 *
 * Flow:  lock, then look whether the old socket file is alive, then bind
 * Owns:  the socket file and the lock file, nothing else in the folder.
 * Trust: the folder is checked; inside a folder that only we can write, names
 *        stay what they are.
 */
#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

#define BACKLOG 128

static int make_folder(const char *socket_path)
{
	char copy[256], *dir;
	struct stat st;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", socket_path) >=
	    sizeof(copy))
		return -ENAMETOOLONG;
	dir = dirname(copy);
	if (mkdir(dir, geteuid() ? 0700 : 0755) && errno != EEXIST) {
		vmb_error("cannot create folder %s: %m", dir);
		return -errno;
	}
	/* the last part may be a link (/var/run); what counts is its end */
	if (stat(dir, &st)) {
		vmb_error("cannot look at folder %s: %m", dir);
		return -errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		vmb_error("%s is not a folder", dir);
		return -ENOTDIR;
	}
	if ((st.st_uid && st.st_uid != geteuid()) ||
	    ((st.st_mode & 022) && !(st.st_mode & S_ISVTX))) {
		vmb_error("folder %s: others (owner %u, mode %o) could replace "
			  "files in it",
			  dir, (unsigned)st.st_uid,
			  (unsigned)st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

/* The file may have been taken away between open and lock: then again. */
static int lock_file(const char *path)
{
	struct stat held, named;
	int fd;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			  0600);
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB)) {
			close(fd);
			return errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
		}
		if (!fstat(fd, &held) && !lstat(path, &named) &&
		    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
			return fd;
		close(fd);
	}
}

int vmbd_lock_open(struct vmbd_lock *lock, const char *socket_path)
{
	int fd, err;

	lock->fd = -1;
	err = make_folder(socket_path);
	if (err)
		return err;
	if ((size_t)snprintf(lock->path, sizeof(lock->path), "%s.lock",
			     socket_path) >= sizeof(lock->path))
		return -ENAMETOOLONG;
	fd = lock_file(lock->path);
	if (fd == -EADDRINUSE)
		vmb_error("another daemon starts at %s", socket_path);
	else if (fd < 0)
		vmb_error("cannot lock %s: %s", lock->path, strerror(-fd));
	if (fd < 0)
		return fd;
	lock->fd = fd;
	return 0;
}

void vmbd_lock_close(struct vmbd_lock *lock)
{
	if (lock->fd < 0)
		return;
	unlink(lock->path);
	close(lock->fd);
	lock->fd = -1;
}

static int socket_address(const char *path, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path)) {
		vmb_error("socket path is too long: %s", path);
		return -ENAMETOOLONG;
	}
	memcpy(address->sun_path, path, strlen(path));
	return 0;
}

/* Does somebody listen there? Does not wait for a place in its queue. */
static int is_answered(const struct sockaddr_un *address, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		err = errno;
	close(fd);
	return err != ECONNREFUSED && err != ENOENT;
}

static int remove_stale(const struct sockaddr_un *address, int type)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		vmb_error("%s exists and is not a socket", path);
		return -EEXIST;
	}
	if (is_answered(address, type)) {
		vmb_error("somebody listens at %s already", path);
		return -EADDRINUSE;
	}
	vmb_info("replacing stale socket %s", path);
	return unlink(path) ? -errno : 0;
}

/* Nobody can connect before listen(), so mode and owner are in time. */
static int bind_socket(int fd, const struct sockaddr_un *address, mode_t mode,
		       gid_t group)
{
	mode_t mask = umask(0177);
	int err = 0;

	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)))
		err = -errno;
	umask(mask);
	if (err)
		return err;
	if ((group != (gid_t)-1 &&
	     lchown(address->sun_path, (uid_t)-1, group)) ||
	    chmod(address->sun_path, mode) || listen(fd, BACKLOG)) {
		err = -errno;
		unlink(address->sun_path);
	}
	return err;
}

static int open_socket(const struct sockaddr_un *address, int type, mode_t mode,
		       gid_t group, int *fd)
{
	int err;

	*fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return -errno;
	err = bind_socket(*fd, address, mode, group);
	if (err) {
		vmb_error("cannot listen at %s: %s", address->sun_path,
			  strerror(-err));
		close(*fd);
	}
	return err;
}

int vmbd_listen_open(const char *path, int type, mode_t mode, gid_t group,
		     struct vmbd_listener *l)
{
	struct sockaddr_un address;
	int err;

	l->fd = -1;
	l->path = path;
	err = socket_address(path, &address);
	if (!err)
		err = remove_stale(&address, type);
	if (err)
		return err;
	l->spare_fd = -1;
	vmbd_listen_take_spare(l);
	if (l->spare_fd < 0)
		return -errno;
	err = open_socket(&address, type, mode, group, &l->fd);
	if (err) {
		l->fd = -1;
		close(l->spare_fd);
	}
	return err;
}

void vmbd_listen_take_spare(struct vmbd_listener *l)
{
	if (l->spare_fd < 0)
		l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int vmbd_listen_accept(struct vmbd_listener *l, bool *turned_away)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int err = -errno;

	*turned_away = false;
	if (fd >= 0 || (err != -EMFILE && err != -ENFILE) || l->spare_fd < 0)
		return fd >= 0 ? fd : err;
	vmb_warn("no descriptor left: a connection to %s is turned away",
		 l->path);
	close(l->spare_fd);
	l->spare_fd = -1;
	*turned_away = true;
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void vmbd_listen_close(struct vmbd_listener *l)
{
	if (l->fd < 0)
		return;
	unlink(l->path);
	close(l->fd);
	if (l->spare_fd >= 0)
		close(l->spare_fd);
	l->fd = -1;
}
