// SPDX-License-Identifier: BSD-2-Clause
/*
 * peer-fabric.c - tagged messages of libfabric's shared-memory provider as a
 * transport, between two processes of one machine.
 *
 * Flow:  peer.c -> [here] -> fi_tsend, fi_trecv, fi_cq_read
 * Owns:  fabric, domain, queues, endpoint; one operation per slot.
 * Trust: the provider; lengths are checked.
 */
#include <errno.h>
#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_tagged.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define TAG 1
#define COMPLETIONS 16
#define SLOT_SINGLE PEER_WINDOW_MAX /* that of send and receive */

struct operation {
	struct fi_context2 context; /* first: what a completion names */
	enum peer_direction direction;
	bool done;
	size_t len, expected;
};

struct fabric {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_cq *cq;
	struct fid_av *av;
	struct fid_ep *ep;
	fi_addr_t peer;
	struct operation operations[PEER_WINDOW_MAX + 1];
};

/* Names below /dev/shm, "vmb-peer:NAME-client" and -server: both know both. */
static char service[2][64];
/* Each side says when its endpoint is there: see both_wait(). */
static int ready[2];

static int fabric_listen(const struct peer_where *where)
{
	static const char *const sides[] = {"client", "server"};

	for (int i = 0; i < 2; i++) {
		int len = where->name
				  ? snprintf(service[i], sizeof(service[i]),
					     "%s-%s", where->name, sides[i])
				  : snprintf(service[i], sizeof(service[i]),
					     "%d-%s", (int)getpid(), sides[i]);

		if (len < 0 || (size_t)len >= sizeof(service[i]))
			return -ENAMETOOLONG;
	}
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ready)
		       ? -errno
		       : 0;
}

/* ---- open, close -------------------------------------------------------- */

static void fid_close(struct fid *fid)
{
	if (fid)
		fi_close(fid);
}

static void fabric_close(void *conn)
{
	struct fabric *f = conn;

	fid_close(f->ep ? &f->ep->fid : NULL);
	fid_close(f->av ? &f->av->fid : NULL);
	fid_close(f->cq ? &f->cq->fid : NULL);
	fid_close(f->domain ? &f->domain->fid : NULL);
	fid_close(f->fabric ? &f->fabric->fid : NULL);
	fi_freeinfo(f->info);
}

static int info_get(struct fabric *f, bool serve)
{
	struct fi_info *hints = fi_allocinfo();
	int ret;

	if (!hints)
		return -ENOMEM;
	hints->caps = FI_TAGGED;
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->ep_attr->type = FI_EP_RDM;
	hints->domain_attr->threading = FI_THREAD_DOMAIN;
	hints->domain_attr->mr_mode = FI_MR_VIRT_ADDR;
	hints->fabric_attr->prov_name = strdup("shm");
	ret = hints->fabric_attr->prov_name
		      ? fi_getinfo(FI_VERSION(1, 17), "vmb-peer",
				   service[serve], FI_SOURCE, hints, &f->info)
		      : -ENOMEM;
	fi_freeinfo(hints);
	return ret;
}

static int queues_open(struct fabric *f)
{
	struct fi_cq_attr cq = {.format = FI_CQ_FORMAT_TAGGED,
				.wait_obj = FI_WAIT_NONE,
				.size = 4 * PEER_WINDOW_MAX};
	struct fi_av_attr av = {.type = FI_AV_UNSPEC, .count = 2};
	int ret = fi_cq_open(f->domain, &cq, &f->cq, NULL);

	if (!ret)
		ret = fi_av_open(f->domain, &av, &f->av, NULL);
	if (!ret)
		ret = fi_endpoint(f->domain, f->info, &f->ep, NULL);
	if (!ret)
		ret = fi_ep_bind(f->ep, &f->cq->fid, FI_TRANSMIT | FI_RECV);
	if (!ret)
		ret = fi_ep_bind(f->ep, &f->av->fid, 0);
	return ret ? ret : fi_enable(f->ep);
}

static int peer_insert(struct fabric *f, bool serve)
{
	char address[96];

	snprintf(address, sizeof(address), "fi_ns://vmb-peer:%s",
		 service[!serve]);
	return fi_av_insert(f->av, address, 1, &f->peer, 0, NULL) == 1
		       ? 0
		       : -EINVAL;
}

/*
 * libfabric 1.17 maps the memory of its peer when it first expects a message of
 * it; while the peer was still making it, the server died inside fi_cq_read()
 * (signal 11) in most starts.
 */
static int both_wait(bool serve)
{
	char byte = 0;
	int ret = 0;

	if (write(ready[serve], &byte, 1) != 1 ||
	    read(ready[serve], &byte, 1) != 1)
		ret = -EPIPE;
	close(ready[serve]);
	return ret;
}

static int fabric_open(const struct peer_where *where, void **conn)
{
	static struct fabric f;
	int ret = info_get(&f, where->serve);

	if (!ret)
		ret = fi_fabric(f.info->fabric_attr, &f.fabric, NULL);
	if (!ret)
		ret = fi_domain(f.fabric, f.info, &f.domain, NULL);
	if (!ret)
		ret = queues_open(&f);
	close(ready[!where->serve]); /* or we would never hear the other's end */
	if (!ret)
		ret = both_wait(where->serve);
	if (!ret)
		ret = peer_insert(&f, where->serve);
	if (ret) {
		fprintf(stderr, "libfabric: %s\n", fi_strerror(-ret));
		fabric_close(&f);
		return ret == -FI_ENODATA ? -ENOENT : -EIO;
	}
	*conn = &f;
	return 0;
}

/* ---- messages ----------------------------------------------------------- */

/* What is complete; this also moves the provider on. */
static int progress(struct fabric *f)
{
	struct fi_cq_tagged_entry entries[COMPLETIONS];
	ssize_t n = fi_cq_read(f->cq, entries, COMPLETIONS);

	if (n == -FI_EAGAIN)
		return 0;
	if (n < 0)
		return -EIO;
	for (ssize_t i = 0; i < n; i++) {
		struct operation *o = entries[i].op_context;

		o->len = entries[i].len;
		o->done = true;
	}
	return 0;
}

static ssize_t post(struct fabric *f, struct operation *o, void *buf,
		    size_t len)
{
	if (o->direction == PEER_RECEIVE)
		return fi_trecv(f->ep, buf, len, NULL, f->peer, TAG, 0,
				&o->context);
	if (len > f->info->tx_attr->inject_size)
		return fi_tsend(f->ep, buf, len, NULL, f->peer, TAG,
				&o->context);
	o->done = true; /* if it is taken, it is complete */
	return fi_tinject(f->ep, buf, len, f->peer, TAG);
}

/* A full queue, or a peer that is not there yet, is no error. */
static int fabric_start(void *conn, enum peer_direction direction,
			unsigned slot, void *buf, size_t len)
{
	struct fabric *f = conn;
	struct operation *o = &f->operations[slot];
	ssize_t posted;
	int ret = 0;

	o->direction = direction;
	o->done = false;
	o->expected = len;
	while (!ret && (posted = post(f, o, buf, len)) == -FI_EAGAIN)
		ret = progress(f);
	return ret || !posted ? ret : -EIO;
}

static int fabric_finish(void *conn, unsigned slot, bool spin)
{
	struct fabric *f = conn;
	struct operation *o = &f->operations[slot];
	int ret = 0;

	(void)spin; /* it does, always */
	while (!o->done && !ret)
		ret = progress(f);
	if (!ret && o->direction == PEER_RECEIVE && o->len != o->expected)
		ret = -EBADMSG;
	return ret;
}

static int fabric_send(void *conn, const void *buf, size_t len, bool spin)
{
	int ret = fabric_start(conn, PEER_SEND, SLOT_SINGLE, (void *)buf, len);

	return ret ? ret : fabric_finish(conn, SLOT_SINGLE, spin);
}

static int fabric_receive(void *conn, void *buf, size_t len, bool spin)
{
	int ret = fabric_start(conn, PEER_RECEIVE, SLOT_SINGLE, buf, len);

	return ret ? ret : fabric_finish(conn, SLOT_SINGLE, spin);
}

int main(int argc, char **argv)
{
	static const struct peer_transport transport = {
		.name = "fabric",
		.doc = "libfabric's provider shm",
		.traits = PEER_MESSAGES | PEER_NO_BLOCK | PEER_ONLY_LOCAL,
		.listen = fabric_listen,
		.open = fabric_open,
		.send = fabric_send,
		.receive = fabric_receive,
		.start = fabric_start,
		.finish = fabric_finish,
		.close = fabric_close,
	};

	return peer_main(&transport, argc, argv);
}
