// SPDX-License-Identifier: BSD-2-Clause
/*
 * mover.c - a thread per client that moves its process memory.
 *
 * Flow:  transfer.c takes a job, submits it; the thread calls the host's
 *        process_read / process_write; the engine finds the job done
 * Owns:  the thread, and job buffers: it never touches memory of any other
 *        client, so a copy that its client holds up holds up nobody else.
 * Trust: the client decides how long its page faults last. An engine thread
 *        never waits for a mover, and the control thread not for long.
 *
 * A job goes IDLE -> TAKEN -> QUEUED -> RUNNING -> DONE -> IDLE; each step is
 * one compare-and-swap, there is no lock.
 */
#include "nic/engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define JOBS 2u
#define SETTLE_NS (20u * 1000 * 1000)

struct vmb_nic_mover {
	struct vmb_nic *nic;
	void *cookie;
	sem_t work;
	bool started;
	uint32_t holders; /* the thread, and who may close it */
	uint32_t closing;
	uint32_t lost; /* its last copy did not end: no more jobs */
	struct vmb_nic_job *jobs[JOBS];
};

static bool step(struct vmb_nic_job *job, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&job->state, &from, to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void run(struct vmb_nic_mover *mover, struct vmb_nic_job *job)
{
	const struct vmb_nic_host *host = mover->nic->host;
	struct vmb_engine *engine = job->engine;

	if (vmb_mover_lost(mover))
		job->result = -EFAULT; /* the memory may be its owner's again */
	else if (job->write)
		job->result = host->process_write(mover->cookie, job->address,
						  job->buffer, job->len);
	else
		job->result = host->process_read(mover->cookie, job->address,
						 job->buffer, job->len);
	vmb_publish(&job->ended, job->ended + 1);
	if (!step(job, JOB_RUNNING, JOB_DONE)) {
		vmb_publish(&job->state, JOB_IDLE); /* orphan */
		return;
	}
	vmb_publish(&engine->look_all, 1);
	vmb_engine_wake(engine);
}

static void mover_free(struct vmb_nic_mover *mover)
{
	for (unsigned i = 0; i < JOBS; i++)
		free(mover->jobs[i]);
	sem_destroy(&mover->work);
	free(mover);
}

static void mover_put(struct vmb_nic_mover *mover)
{
	if (!__atomic_sub_fetch(&mover->holders, 1, __ATOMIC_ACQ_REL))
		mover_free(mover);
}

static void *mover_main(void *arg)
{
	struct vmb_nic_mover *mover = arg;
	struct vmb_nic *nic;

	while (!vmb_observe(&mover->closing)) {
		if (sem_wait(&mover->work))
			continue;
		for (unsigned i = 0; i < JOBS; i++)
			if (step(mover->jobs[i], JOB_QUEUED, JOB_RUNNING))
				run(mover, mover->jobs[i]);
	}
	nic = mover->nic;
	mover_put(mover);
	__atomic_fetch_sub(&nic->movers, 1, __ATOMIC_RELEASE);
	return NULL;
}

int vmb_nic_mover_open(struct vmb_nic *nic, void *cookie,
		       struct vmb_nic_mover **out)
{
	struct vmb_nic_mover *mover = calloc(1, sizeof(*mover));

	if (!mover)
		return -ENOMEM;
	mover->nic = nic;
	mover->cookie = cookie;
	sem_init(&mover->work, 0, 0);
	*out = mover;
	return 0;
}

int vmb_mover_start(struct vmb_nic_mover *mover)
{
	pthread_t thread;
	int err;

	if (mover->started)
		return 0;
	for (unsigned i = 0; i < JOBS; i++) {
		if (!mover->jobs[i])
			mover->jobs[i] = malloc(sizeof(*mover->jobs[i]));
		if (!mover->jobs[i])
			return -ENOMEM;
		mover->jobs[i]->mover = mover;
		mover->jobs[i]->state = JOB_IDLE;
		mover->jobs[i]->ended = 0;
	}
	mover->holders = 2;
	err = pthread_create(&thread, NULL, mover_main, mover);
	if (err)
		return -err;
	__atomic_fetch_add(&mover->nic->movers, 1, __ATOMIC_RELAXED);
	pthread_setname_np(thread, "mover");
	pthread_detach(thread);
	mover->started = true;
	return 0;
}

/* Transfers of others may wait for one of its jobs, which go with it. */
static void leave(struct vmb_engine *engine, void *arg)
{
	struct vmb_nic *nic = engine->nic;

	for (uint32_t i = 0; i < nic->index_top; i++)
		if (nic->endpoints[i] && nic->endpoints[i]->engine == engine)
			vmb_transfer_leave(nic->endpoints[i], arg);
	vmb_publish(&engine->look_all, 1); /* they may be cold */
}

void vmb_nic_mover_close(struct vmb_nic_mover *mover)
{
	if (!mover)
		return;
	if (!mover->started) {
		mover_free(mover);
		return;
	}
	for (unsigned i = 0; i < mover->nic->threads; i++)
		vmb_engine_run(&mover->nic->engines[i], leave, mover);
	vmb_publish(&mover->closing, 1);
	sem_post(&mover->work);
	mover_put(mover);
}

/*
 * Have all threads ended? Those whose client holds up a copy even now are not
 * waited for; they may still wake an engine when they end.
 */
bool vmb_movers_gone(const struct vmb_nic *nic)
{
	uint64_t limit = vmb_now_ns() + SETTLE_NS;

	while (vmb_observe(&nic->movers) && vmb_now_ns() < limit)
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	return !vmb_observe(&nic->movers);
}

struct vmb_nic_job *vmb_mover_take(struct vmb_nic_mover *mover,
				   struct vmb_engine *engine)
{
	for (unsigned i = 0; i < JOBS; i++) {
		if (step(mover->jobs[i], JOB_IDLE, JOB_TAKEN)) {
			mover->jobs[i]->engine = engine;
			return mover->jobs[i];
		}
	}
	return NULL;
}

bool vmb_mover_lost(const struct vmb_nic_mover *mover)
{
	return vmb_load_relaxed(&mover->lost);
}

void vmb_mover_submit(struct vmb_nic_job *job)
{
	vmb_publish(&job->state, JOB_QUEUED);
	sem_post(&job->mover->work);
}

void vmb_mover_give(struct vmb_nic_job *job)
{
	/* whatever it is in, one of these takes it out */
	while (!step(job, JOB_DONE, JOB_IDLE) &&
	       !step(job, JOB_TAKEN, JOB_IDLE) &&
	       !step(job, JOB_QUEUED, JOB_IDLE) &&
	       !step(job, JOB_RUNNING, JOB_ORPHAN))
		;
}

/* Have the copies ended that were due when their numbers were these? */
static bool settled(const struct vmb_nic_mover *mover, const uint32_t *ended)
{
	for (unsigned i = 0; i < JOBS; i++) {
		uint32_t state = vmb_observe(&mover->jobs[i]->state);

		if ((state == JOB_QUEUED || state == JOB_RUNNING ||
		     state == JOB_ORPHAN) &&
		    vmb_observe(&mover->jobs[i]->ended) == ended[i])
			return false;
	}
	return true;
}

/* Transfers that wait for it end now; they may be cold, and engines asleep. */
static void lose(struct vmb_nic_mover *mover)
{
	struct vmb_nic *nic = mover->nic;

	__atomic_store_n(&mover->lost, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < nic->threads; i++) {
		vmb_publish(&nic->engines[i].look_all, 1);
		vmb_engine_wake(&nic->engines[i]);
	}
}

/*
 * A copy of at most JOB_BYTES ends in microseconds unless its owner holds it
 * up; such an owner gets no further copies, so this can cost the control
 * thread SETTLE_NS once per client. What the last copy may still touch is
 * memory of that same client. Copies that are begun meanwhile are of other
 * regions: a busy mover is no reason to wait.
 */
void vmb_mover_settle(struct vmb_nic_mover *mover)
{
	uint64_t limit = vmb_now_ns() + SETTLE_NS;
	uint32_t ended[JOBS];

	for (unsigned i = 0; i < JOBS; i++)
		ended[i] = vmb_observe(&mover->jobs[i]->ended);
	while (!settled(mover, ended) && !vmb_mover_lost(mover)) {
		if (vmb_now_ns() > limit)
			lose(mover);
		nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	}
}
