// SPDX-License-Identifier: BSD-2-Clause
/* device.c - see device.h. */
#include "support/device.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <vmbypass/abi/control.h>

#include "base/barrier.h"

#define FILES 4096u
#define POLL_MAX 16u

int __real_access(const char *path, int mode);
int __real_close(int fd);
int __real_fstat(int fd, struct stat *st);
int __real_ioctl(int fd, unsigned long request, void *arg);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __real_open(const char *path, int flags, mode_t mode);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __real_write(int fd, const void *buf, size_t size);

int __wrap_access(const char *path, int mode);
int __wrap_close(int fd);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_ioctl(int fd, unsigned long request, ...);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_open(const char *path, int flags, ...);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
ssize_t __wrap_read(int fd, void *buf, size_t size);
ssize_t __wrap_write(int fd, const void *buf, size_t size);

/* ---- the open files ------------------------------------------------------- */

/*
 * Found by inode, which tells a file from the next one of the same number. No
 * lock: a forked child closes its copies while other threads of the parent
 * were anywhere.
 */
struct file {
	ino_t ino;  /* 0: free */
	void *area; /* NULL: a control file */
	size_t len;
	int outstanding; /* requests without a reply that was read */
};

static struct file files[FILES];
static unsigned files_used; /* entries that were ever taken */
static char link_to[128];
static bool
	hidden; /* there is no VMB_CHARDEV_PATH, whatever this machine has */
static int refusal;
static t_device_endpoint_fn on_endpoint;
static void *on_endpoint_arg;

static struct file *find(int fd)
{
	struct stat st;

	if (fd < 0 || __real_fstat(fd, &st) || !S_ISSOCK(st.st_mode))
		return NULL;
	for (unsigned i = 0; i < vmb_load_relaxed(&files_used); i++)
		if (vmb_observe(&files[i].ino) == st.st_ino)
			return &files[i];
	return NULL;
}

static void add(int fd, void *area, size_t len)
{
	static const ino_t taken = (ino_t)-1;
	struct stat st;

	ck_assert_int_eq(__real_fstat(fd, &st), 0);
	for (unsigned i = 0; i < FILES; i++) {
		ino_t none = 0;

		if (!__atomic_compare_exchange_n(&files[i].ino, &none, taken,
						 false, __ATOMIC_ACQUIRE,
						 __ATOMIC_RELAXED))
			continue;
		files[i].area = area;
		files[i].len = len;
		files[i].outstanding = 0;
		vmb_publish(&files[i].ino, st.st_ino);
		/* another thread may take entries beyond: never less */
		for (unsigned n = vmb_load_relaxed(&files_used); n <= i;)
			if (__atomic_compare_exchange_n(&files_used, &n, i + 1,
							false, __ATOMIC_RELEASE,
							__ATOMIC_RELAXED))
				break;
		return;
	}
	ck_abort_msg("more than %u files are open", FILES);
}

void t_device_link(const char *path)
{
	strncpy(link_to, path ? path : "", sizeof(link_to) - 1);
	hidden = !path;
}

void t_device_refuse(int error)
{
	refusal = error;
}

void t_device_on_endpoint(t_device_endpoint_fn fn, void *arg)
{
	on_endpoint = fn;
	on_endpoint_arg = arg;
}

int t_device_endpoint(void *area, size_t len, int *end)
{
	int pair[2];

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	add(pair[0], area, len);
	*end = pair[1];
	return pair[0];
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

/* ---- open, close ------------------------------------------------------------ */

/* The address that a path leads to; false: it is no device of ours. */
static bool is_device(const char *path, struct sockaddr_un *address)
{
	struct stat st;

	if (!strcmp(path, VMB_CHARDEV_PATH) && *link_to)
		path = link_to;
	if (strlen(path) >= sizeof(address->sun_path) ||
	    (path[0] != '@' && (stat(path, &st) || !S_ISSOCK(st.st_mode))))
		return false;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	strcpy(address->sun_path, path);
	if (path[0] == '@')
		address->sun_path[0] = 0;
	return true;
}

int __wrap_open(const char *path, int flags, ...)
{
	struct sockaddr_un address;
	va_list ap;
	mode_t mode;
	int fd;

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	if (!is_device(path, &address))
		return __real_open(path, flags, mode);
	if (refusal)
		return refuse(refusal);
	fd = socket(AF_UNIX,
		    SOCK_SEQPACKET | (flags & (O_CLOEXEC | O_NONBLOCK)), 0);
	ck_assert_int_ge(fd, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		__real_close(fd);
		return refuse(ENXIO); /* the backend is not connected */
	}
	add(fd, NULL, 0);
	return fd;
}

int __wrap_access(const char *path, int mode)
{
	if (!strcmp(path, VMB_CHARDEV_PATH) && (*link_to || hidden))
		return hidden ? refuse(ENOENT) : 0;
	return __real_access(path, mode);
}

int __wrap_fstat(int fd, struct stat *st)
{
	int rc = __real_fstat(fd, st);

	if (!rc && find(fd))
		st->st_mode = S_IFCHR | 0660;
	return rc;
}

int __wrap_close(int fd)
{
	struct file *f = find(fd);

	if (f)
		vmb_publish(&f->ino, 0);
	return __real_close(fd);
}

/* ---- write, read, poll ------------------------------------------------------- */

static ssize_t send_to(int fd, const void *buf, size_t size)
{
	ssize_t n = send(fd, buf, size, MSG_NOSIGNAL);

	if (n < 0 && errno == ECONNRESET)
		errno = EPIPE;
	return n;
}

static ssize_t write_request(struct file *f, int fd, const void *buf,
			     size_t size)
{
	struct vmb_ctl_head head;
	ssize_t n;

	memcpy(&head, buf, size < sizeof(head) ? size : sizeof(head));
	if (size < sizeof(head) || size > sizeof(union vmb_ctl_any) ||
	    head.len != size)
		return refuse(EMSGSIZE);
	if (head.op < VMB_CTL_HELLO || head.op > VMB_CTL_LANE)
		return refuse(EINVAL);
	if (__atomic_add_fetch(&f->outstanding, 1, __ATOMIC_SEQ_CST) >
	    (int)VMB_CHARDEV_OUTSTANDING)
		n = refuse(EAGAIN);
	else
		n = send_to(fd, buf, size);
	if (n < 0)
		__atomic_sub_fetch(&f->outstanding, 1, __ATOMIC_SEQ_CST);
	return n;
}

ssize_t __wrap_write(int fd, const void *buf, size_t size)
{
	struct file *f = find(fd);

	if (!f)
		return __real_write(fd, buf, size);
	if (!f->area)
		return write_request(f, fd, buf, size);
	return size == sizeof(uint64_t) ? send_to(fd, buf, size)
					: refuse(EINVAL);
}

/* A socket tells once that its end came with requests unread; no device does. */
static ssize_t take_packet(int fd, void *buf, size_t size, int flags)
{
	ssize_t n;

	do
		n = recv(fd, buf, size, flags);
	while (n < 0 && errno == ECONNRESET);
	return n;
}

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
	struct file *f = find(fd);
	ssize_t n;

	if (!f)
		return __real_read(fd, buf, size);
	if (f->area && size < sizeof(uint64_t))
		return refuse(EINVAL);
	n = take_packet(fd, buf, size, MSG_PEEK | MSG_TRUNC);
	if (n > (ssize_t)size)
		return refuse(EMSGSIZE);
	n = take_packet(fd, buf, size, 0);
	if (n > 0 && !f->area)
		__atomic_sub_fetch(&f->outstanding, 1, __ATOMIC_SEQ_CST);
	return n;
}

/* A control file with too many requests is not ready for another. */
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	short events[POLL_MAX];
	int n;

	if (count > POLL_MAX)
		return __real_poll(fds, count, timeout_ms);
	for (nfds_t i = 0; i < count; i++) {
		struct file *f = find(fds[i].fd);

		events[i] = fds[i].events;
		if (f && __atomic_load_n(&f->outstanding, __ATOMIC_SEQ_CST) >=
				 (int)VMB_CHARDEV_OUTSTANDING)
			fds[i].events &= ~POLLOUT;
	}
	n = __real_poll(fds, count, timeout_ms);
	for (nfds_t i = 0; i < count; i++)
		fds[i].events = events[i];
	return n;
}

/* ---- ioctl, mmap --------------------------------------------------------------- */

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct file *f = find(fd);
	va_list ap;
	void *arg;
	int rc;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!f)
		return __real_ioctl(fd, request, arg);
	if (f->area || request != VMB_IOC_ENDPOINT)
		return refuse(ENOTTY);
	rc = on_endpoint ? on_endpoint(on_endpoint_arg, arg) : -ENOENT;
	return rc < 0 ? refuse(-rc) : rc;
}

/*
 * The area once more, at another address, and not in a child. ThreadSanitizer
 * does not know that both are one memory: it sees no order between what the
 * engine writes and what the client reads elsewhere.
 */
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	struct file *f = fd < 0 ? NULL : find(fd);
	void *p;

	if (!f)
		return __real_mmap(at, len, prot, flags, fd, off);
	if (!f->area || off || len != f->len || at || !(flags & MAP_SHARED)) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	p = mremap(f->area, 0, len, MREMAP_MAYMOVE);
	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_int_eq(madvise(p, len, MADV_DONTFORK), 0);
	return p;
}
