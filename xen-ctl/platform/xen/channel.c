// SPDX-License-Identifier: BSD-2-Clause
/*
 * channel.c - the event channel of a guest: kicks, requests and notes share
 * one.
 *
 * Flow:  guest sets a kick bit, sends an event -> descriptor of the channel
 *        -> look(), in a sleeping engine thread or the control thread ->
 *        vmb_host_kick() of each endpoint, ring.c for requests
 *        engine -> notify() -> note bit, event -> guest
 * Owns:  the channel, the places of endpoints in the two bitmaps.
 * Trust: the guest may send events when and as often as it likes, and set any
 *        bit. A bit without an endpoint is nothing; events that bring nothing
 *        are unmasked later and later.
 *
 * Who reads the channel? Whoever is awake first. Its descriptor is in the
 * epoll set of every engine thread (as an edge) and in the control thread's
 * loop (as a level), and reading it does not block.
 *
 *   - All engine threads hot: nobody of them waits in epoll; the control
 *     thread reads. If it is held up, nothing is lost: a hot engine needs no
 *     kick, and one that goes to sleep finds the descriptor still readable.
 *   - An engine thread sleeps: it wakes from the same edge as the control
 *     thread, reads, takes the bits and serves its endpoints. One hop, and no
 *     other thread is needed: messages flow while the control thread is held
 *     up, since the reader unmasks the channel itself.
 *   - Another thread was faster: then epoll may not report the descriptor to
 *     us any more, so whoever reads answers for everybody: it takes all the
 *     bits, puts each on the list of its endpoint's thread and wakes that
 *     thread by its own descriptor, whose edge cannot be taken away by anybody
 *     (host.c). Requests that an engine thread finds are told to the control
 *     thread in the same way (ask()).
 *   - A thread that wakes and finds the channel read looks at the bits all
 *     the same. So the two hops of the case before happen only to a thread
 *     that was on its way to sleep, not to one that slept.
 *
 * Nothing is lost: the guest sets the bit first and then sends; an event that
 * comes while the channel is masked is delivered when it is unmasked; bits are
 * taken after reading. A bit that is set after we took the word was clear, so
 * another event follows it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "platform/xen/xen.h"

/*
 * Events in a row that bring nothing: some are honest (two kicks taken at
 * once). After that each is unmasked later than the one before, up to
 * 2^DELAY_STEPS ms, which leaves a storm some 15 events a second. Each
 * STORM_EVENTS of them are one lie.
 */
#define USELESS_FREE 16u
#define DELAY_STEPS 6u
#define STORM_EVENTS 64u

struct xen_signal {
	struct vmb_signal signal;
	struct vmb_guest *g;
	uint32_t slot;
};

/* ---- looking ------------------------------------------------------------ */

/* Have the control thread do something for this guest. Any thread. */
static void ask(struct vmb_guest *g, uint32_t what)
{
	static const uint64_t one = 1;

	if (vmb_bits_set(&g->asked, what) & what)
		return; /* it knows */
	if (write(g->p->ask_fd, &one, sizeof(one)) < 0)
		vmb_error("cannot wake the control thread: %m");
}

/* True: an event came, and the channel is masked now. */
static bool take_event(struct vmb_guest *g)
{
	return xenevtchn_pending(g->channel) == (int)g->port;
}

/* Kicks of endpoints that are there. Called with the lock held. */
static unsigned take_kicks(struct vmb_guest *g, unsigned self)
{
	struct vmb_host *host = g->p->config.host;
	struct xen_signal *x;
	unsigned kicks = 0;
	uint64_t bits;

	for (uint32_t i = 0; i < vmb_array_size(g->events->kicks); i++) {
		uint64_t *word = (uint64_t *)&g->events->kicks[i];

		if (!vmb_load_relaxed(word))
			continue;
		for (bits = vmb_bits_take(word); bits; bits &= bits - 1) {
			x = g->slots[64 * i + (uint32_t)__builtin_ctzll(bits)];
			if (!x || !x->signal.ep)
				continue;
			vmb_host_kick(host, &x->signal, self);
			kicks++;
		}
	}
	return kicks;
}

/* Called with the lock held, after an event. */
static void unmask(struct vmb_guest *g, bool useful)
{
	g->useless = useful ? 0 : g->useless + 1;
	if (g->useless <= USELESS_FREE)
		xenevtchn_unmask(g->channel, g->port);
	else
		ask(g, XEN_ASK_UNMASK);
}

/* self: the engine thread, or VMB_HOST_NO_THREAD. True: requests are there. */
static bool look(struct vmb_guest *g, unsigned self)
{
	bool came = take_event(g), requests;
	unsigned kicks;

	pthread_mutex_lock(&g->lock);
	kicks = take_kicks(g, self);
	requests = vmb_load_relaxed(&g->ring.sring->req_prod) !=
		   vmb_load_relaxed(&g->taken);
	if (came)
		unmask(g, kicks || requests);
	pthread_mutex_unlock(&g->lock);
	return requests;
}

static void engine_ready(struct vmb_watch *watch, unsigned thread)
{
	struct vmb_guest *g =
		vmb_container_of(watch - thread, struct vmb_guest, watches[0]);

	if (look(g, thread))
		ask(g, XEN_ASK_RING);
}

/* ---- the control thread ------------------------------------------------- */

static int on_event(sd_event_source *source, int fd, uint32_t revents,
		    void *arg)
{
	struct vmb_guest *g = arg;

	(void)source;
	(void)fd;
	(void)revents;
	if (look(g, VMB_HOST_NO_THREAD))
		vmb_xen_ring_serve(g);
	return 0;
}

static int on_more(sd_event_source *source, void *arg)
{
	(void)source;
	vmb_xen_ring_serve(arg);
	return 0;
}

static int on_later(sd_event_source *source, uint64_t usec, void *arg)
{
	struct vmb_guest *g = arg;

	(void)source;
	(void)usec;
	xenevtchn_unmask(g->channel, g->port);
	return 0;
}

/* An event was useless again: when to listen to the guest next? */
static void unmask_later(struct vmb_guest *g)
{
	unsigned useless, step;

	pthread_mutex_lock(&g->lock);
	useless = g->useless;
	pthread_mutex_unlock(&g->lock);
	step = vmb_min(useless - vmb_min(useless, USELESS_FREE), DELAY_STEPS);
	sd_event_source_set_time_relative(g->later, 1000u << step);
	sd_event_source_set_enabled(g->later, SD_EVENT_ONESHOT);
	if (useless % STORM_EVENTS == 0)
		vmb_xen_guest_lied(g, VMB_NIC_FAULT_STORM, useless);
}

static void serve_ask(struct vmb_guest *g)
{
	uint32_t asked = vmb_bits_take(&g->asked);

	if (asked & XEN_ASK_UNMASK)
		unmask_later(g);
	if (g->lies >= XEN_LIES_MAX)
		vmb_xen_guest_send_away(g, "too many lies");
	else if (asked & XEN_ASK_RING)
		vmb_xen_ring_serve(g);
}

static int on_ask(sd_event_source *source, int fd, uint32_t revents, void *arg)
{
	struct vmb_platform *p = arg;
	struct vmb_list *pos, *tmp;
	uint64_t count;

	(void)source;
	(void)revents;
	if (read(fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return -errno;
	vmb_list_each_safe (pos, tmp, &p->guests) {
		struct vmb_guest *g =
			vmb_container_of(pos, struct vmb_guest, node);

		if (g->state == XEN_CONNECTED && vmb_load_relaxed(&g->asked))
			serve_ask(g);
	}
	return 0;
}

int vmb_xen_asks_open(struct vmb_platform *p)
{
	int err;

	p->ask_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->ask_fd < 0)
		return -errno;
	err = sd_event_add_io(p->config.event, &p->ask_source, p->ask_fd,
			      EPOLLIN, on_ask, p);
	if (err < 0)
		close(p->ask_fd);
	return err < 0 ? err : 0;
}

void vmb_xen_asks_close(struct vmb_platform *p)
{
	sd_event_source_disable_unref(p->ask_source);
	close(p->ask_fd);
}

/* ---- the channel -------------------------------------------------------- */

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

int vmb_xen_channel_open(struct vmb_guest *g, evtchn_port_t remote)
{
	int port, err;

	g->channel = xenevtchn_open(&vmb_xen_logger, 0);
	if (!g->channel)
		return -errno;
	err = set_nonblocking(xenevtchn_fd(g->channel));
	if (err)
		goto err_close;
	port = xenevtchn_bind_interdomain(g->channel, g->who.id, remote);
	if (port < 0) {
		err = -errno;
		goto err_close;
	}
	g->port = (evtchn_port_t)port;
	return 0;

err_close:
	vmb_xen_channel_close(g);
	return err;
}

void vmb_xen_channel_close(struct vmb_guest *g)
{
	if (g->channel)
		xenevtchn_close(g->channel);
	g->channel = NULL;
}

static int add_sources(struct vmb_guest *g)
{
	sd_event *event = g->p->config.event;
	int err;

	err = sd_event_add_io(event, &g->io, xenevtchn_fd(g->channel), EPOLLIN,
			      on_event, g);
	if (err >= 0)
		err = sd_event_add_defer(event, &g->more, on_more, g);
	if (err >= 0)
		err = sd_event_source_set_enabled(g->more, SD_EVENT_OFF);
	if (err >= 0)
		err = sd_event_add_time_relative(event, &g->later,
						 CLOCK_MONOTONIC, 0, 1000,
						 on_later, g);
	if (err >= 0)
		err = sd_event_source_set_enabled(g->later, SD_EVENT_OFF);
	return err < 0 ? err : 0;
}

int vmb_xen_channel_listen(struct vmb_guest *g)
{
	struct vmb_host *host = g->p->config.host;
	int fd = xenevtchn_fd(g->channel), err;

	g->useless = 0;
	vmb_store_relaxed(&g->asked, 0);
	err = add_sources(g);
	for (unsigned i = 0; i < host->threads && !err; i++) {
		g->watches[i].ready = engine_ready;
		err = vmb_host_watch(host, i, &g->watches[i], fd);
	}
	if (err)
		vmb_xen_channel_deafen(g);
	return err;
}

void vmb_xen_channel_deafen(struct vmb_guest *g)
{
	struct vmb_host *host = g->p->config.host;

	for (unsigned i = 0; i < host->threads; i++)
		vmb_host_unwatch(host, i, &g->watches[i]);
	g->io = sd_event_source_disable_unref(g->io);
	g->more = sd_event_source_disable_unref(g->more);
	g->later = sd_event_source_disable_unref(g->later);
}

void vmb_xen_channel_notify(struct vmb_guest *g)
{
	if (xenevtchn_notify(g->channel, g->port))
		vmb_debug("guest %s: cannot notify: %m", g->who.name);
}

/* ---- signals ------------------------------------------------------------ */

static struct xen_signal *xen_of(struct vmb_signal *signal)
{
	return vmb_container_of(signal, struct xen_signal, signal);
}

/*
 * The pages stay mapped as long as an endpoint of the guest is in the engine.
 * One event for many notes, as long as the guest has not taken the word.
 */
static void notify(struct vmb_signal *signal)
{
	struct xen_signal *x = xen_of(signal);
	uint64_t *word = (uint64_t *)&x->g->events->notes[x->slot / 64];
	uint64_t bit = 1ull << (x->slot % 64);

	if (!(vmb_bits_set(word, bit) & bit))
		vmb_xen_channel_notify(x->g);
}

int vmb_xen_signal_open(struct vmb_transport *t, struct vmb_attachment *a,
			struct vmb_signal **result)
{
	struct vmb_guest *g = t->g;
	struct xen_signal *x;

	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->signal.notify = notify;
	x->g = g;
	x->slot = a->slot; /* was checked, and is free: ring.c */
	pthread_mutex_lock(&g->lock);
	g->slots[x->slot] = x;
	pthread_mutex_unlock(&g->lock);
	*result = &x->signal;
	return 0;
}

int vmb_xen_signal_bind(struct vmb_signal *signal, struct vmb_nic_endpoint *ep)
{
	struct vmb_guest *g = xen_of(signal)->g;

	pthread_mutex_lock(&g->lock);
	vmb_host_bind(signal, ep);
	pthread_mutex_unlock(&g->lock);
	return 0;
}

void vmb_xen_signal_unbind(struct vmb_signal *signal)
{
	struct vmb_guest *g = xen_of(signal)->g;

	pthread_mutex_lock(&g->lock);
	vmb_host_unbind(g->p->config.host, signal);
	pthread_mutex_unlock(&g->lock);
}

void vmb_xen_signal_close(struct vmb_signal *signal)
{
	struct xen_signal *x = xen_of(signal);
	struct vmb_guest *g = x->g;

	vmb_xen_signal_unbind(signal);
	pthread_mutex_lock(&g->lock);
	g->slots[x->slot] = NULL;
	pthread_mutex_unlock(&g->lock);
	free(x);
}
