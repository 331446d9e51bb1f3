// SPDX-License-Identifier: BSD-2-Clause
/*
 * layout.c - print size and offsets of every structure that crosses a
 * boundary; the test compares them with layout.txt. A difference is a new ABI.
 *
 * Flow:  headers -> offsetof -> stdout
 * Owns:  nothing.
 * Trust: nothing.
 */
#include <stddef.h>
#include <stdio.h>

#include <vmbypass/abi/chardev.h>
#include <vmbypass/abi/control.h>
#include <vmbypass/abi/doorbell.h>
#include <vmbypass/abi/lane.h>
#include <vmbypass/abi/region.h>
#include <vmbypass/abi/slot.h>
#include <vmbypass/abi/stats.h>
#include <vmbypass/abi/xenbus.h>
#include <vmbypass/vmb.h>
#include <vmbypass/vmb_am.h>

#define S(type) printf("struct %s %zu\n", #type, sizeof(struct type))
#define F(type, field)                                         \
	printf("  %zu %zu %s\n", offsetof(struct type, field), \
	       sizeof(((struct type *)0)->field), #field)

static void print_slots(void)
{
	S(vmb_slot);
	F(vmb_slot, seq);
	F(vmb_slot, op);
	F(vmb_slot, flags);
	F(vmb_slot, len);
	F(vmb_slot, peer);
	F(vmb_slot, am);
	F(vmb_slot, status);
	F(vmb_slot, hdr);
	F(vmb_slot, payload);
	S(vmb_slot_ext);
	F(vmb_slot_ext, seq);
	F(vmb_slot_ext, payload);
	S(vmb_slot_buf);
	F(vmb_slot_buf, key);
	F(vmb_slot_buf, offset);
	F(vmb_slot_buf, len);
	S(vmb_slot_rdma);
	F(vmb_slot_rdma, local_key);
	F(vmb_slot_rdma, remote_key);
	F(vmb_slot_rdma, local_offset);
	F(vmb_slot_rdma, remote_offset);
	F(vmb_slot_rdma, len);
	S(vmb_slot_done);
	F(vmb_slot_done, moved);
}

static void print_lanes(void)
{
	S(vmb_lane_control);
	F(vmb_lane_control, consumed);
	F(vmb_lane_control, look_arm);
	F(vmb_lane_control, away);
	F(vmb_lane_control, room_arm);
	F(vmb_lane_control, direct);
	S(vmb_lane_direct);
	F(vmb_lane_direct, claim);
	F(vmb_lane_direct, written);
	F(vmb_lane_direct, source);
	F(vmb_lane_direct, destination);
	S(vmb_lane_file);
	F(vmb_lane_file, start);
	F(vmb_lane_file, file);
	F(vmb_lane_file, fd);
	S(vmb_ctl_lane);
	F(vmb_ctl_lane, kind);
	F(vmb_ctl_lane, handle);
	F(vmb_ctl_lane, peer);
	F(vmb_ctl_lane, slots);
	F(vmb_ctl_lane, bytes);
	F(vmb_ctl_lane, reason);
	F(vmb_ctl_lane, ticket);
	F(vmb_ctl_lane, guest);
}

static void print_xen(void)
{
	S(vmb_xen_request);
	F(vmb_xen_request, id);
	F(vmb_xen_request, client);
	F(vmb_xen_request, slot);
	F(vmb_xen_request, pages);
	F(vmb_xen_request, refs);
	F(vmb_xen_request, msg);
	S(vmb_xen_reply);
	F(vmb_xen_reply, id);
	F(vmb_xen_reply, client);
	F(vmb_xen_reply, msg);
	S(vmb_xen_events);
	F(vmb_xen_events, kicks);
	F(vmb_xen_events, notes);
	F(vmb_xen_events, alive);
	S(vmb_chardev_endpoint);
	F(vmb_chardev_endpoint, handle);
}

static void print_area(void)
{
	struct vmb_geometry g = {.eq_slots = VMB_EQ_SLOTS_DEFAULT,
				 .rx_bytes = VMB_RX_BYTES_DEFAULT,
				 .tx_bytes = VMB_TX_BYTES_DEFAULT};

	S(vmb_control_page);
	F(vmb_control_page, consumed);
	F(vmb_control_page, event_arm);
	F(vmb_control_page, progress);
	F(vmb_control_page, kick_arm);
	F(vmb_control_page, room_arm);
	F(vmb_control_page, state);
	F(vmb_control_page, fault_code);
	S(vmb_geometry);
	F(vmb_geometry, eq_slots);
	F(vmb_geometry, rx_bytes);
	F(vmb_geometry, tx_bytes);
	printf("default area: control %u eq %u rx %u tx %u bytes %u\n",
	       VMB_AREA_CONTROL, VMB_AREA_EQ, VMB_AREA_RX(&g), VMB_AREA_TX(&g),
	       VMB_AREA_BYTES(&g));
}

static void print_requests(void)
{
	S(vmb_ctl_head);
	F(vmb_ctl_head, op);
	F(vmb_ctl_head, tag);
	F(vmb_ctl_head, status);
	F(vmb_ctl_head, len);
	S(vmb_ctl_hello);
	F(vmb_ctl_hello, abi_major);
	F(vmb_ctl_hello, abi_minor);
	F(vmb_ctl_hello, features);
	F(vmb_ctl_hello, domain);
	S(vmb_ctl_open);
	F(vmb_ctl_open, id);
	F(vmb_ctl_open, key);
	F(vmb_ctl_open, geometry);
	S(vmb_ctl_close);
	F(vmb_ctl_close, handle);
	S(vmb_ctl_register);
	F(vmb_ctl_register, kind);
	F(vmb_ctl_register, access);
	F(vmb_ctl_register, base);
	F(vmb_ctl_register, len);
	S(vmb_ctl_deregister);
	F(vmb_ctl_deregister, key);
	S(vmb_ctl_connect);
	F(vmb_ctl_connect, nic_id);
	F(vmb_ctl_connect, id);
	F(vmb_ctl_connect, key);
}

static void print_replies(void)
{
	S(vmb_ctl_hello_reply);
	F(vmb_ctl_hello_reply, abi_major);
	F(vmb_ctl_hello_reply, abi_minor);
	F(vmb_ctl_hello_reply, domain_id);
	F(vmb_ctl_hello_reply, features);
	F(vmb_ctl_hello_reply, nic_id);
	F(vmb_ctl_hello_reply, endpoints_max);
	F(vmb_ctl_hello_reply, engine_threads);
	F(vmb_ctl_hello_reply, memory_max);
	F(vmb_ctl_hello_reply, name);
	S(vmb_ctl_open_reply);
	F(vmb_ctl_open_reply, handle);
	F(vmb_ctl_open_reply, id);
	F(vmb_ctl_open_reply, session);
	S(vmb_ctl_register_reply);
	F(vmb_ctl_register_reply, key);
	S(vmb_ctl_connect_reply);
	F(vmb_ctl_connect_reply, handle);
	F(vmb_ctl_connect_reply, session);
	S(vmb_ctl_lookup);
	F(vmb_ctl_lookup, kind);
	F(vmb_ctl_lookup, handle);
	F(vmb_ctl_lookup, nic_id);
	F(vmb_ctl_lookup, id);
	F(vmb_ctl_lookup, session);
	F(vmb_ctl_lookup, name);
}

static void print_stats(void)
{
	S(vmb_stats_head);
	F(vmb_stats_head, magic);
	F(vmb_stats_head, records);
	F(vmb_stats_head, record_bytes);
	F(vmb_stats_head, breaths);
	F(vmb_stats_head, sleeps);
	F(vmb_stats_head, faults);
	F(vmb_stats_head, faults_lost);
	S(vmb_stats);
	F(vmb_stats, handle);
	F(vmb_stats, domain);
	F(vmb_stats, id);
	F(vmb_stats, state);
	F(vmb_stats, sends);
	F(vmb_stats, arrivals);
	F(vmb_stats, puts);
	F(vmb_stats, gets);
	F(vmb_stats, bounces);
	F(vmb_stats, stalls);
	F(vmb_stats, faults);
	F(vmb_stats, notifies);
	F(vmb_stats, kicks);
	F(vmb_stats, fences);
}

static void print_public(void)
{
	S(vmb_addr);
	S(vmb_segment);
	F(vmb_segment, ptr);
	F(vmb_segment, len);
	S(vmb_status);
	F(vmb_status, code);
	F(vmb_status, peer);
	F(vmb_status, match);
	F(vmb_status, msg_len);
	F(vmb_status, xfer_len);
	F(vmb_status, context);
	S(vmb_open_params);
	F(vmb_open_params, size);
	F(vmb_open_params, id);
	F(vmb_open_params, key);
	F(vmb_open_params, wait);
	F(vmb_open_params, eq_slots);
	F(vmb_open_params, rx_bytes);
	F(vmb_open_params, tx_bytes);
	F(vmb_open_params, unexpected_max);
	F(vmb_open_params, flags);
	S(vmb_counters);
	F(vmb_counters, size);
	F(vmb_counters, eager);
	F(vmb_counters, regcache_invalidated);
	F(vmb_counters, lanes);
	F(vmb_counters, lane_arrivals);
	S(vmb_am_msg);
	F(vmb_am_msg, source);
	F(vmb_am_msg, hdr);
	F(vmb_am_msg, data);
	F(vmb_am_msg, len);
}

int main(void)
{
	print_slots();
	print_lanes();
	print_area();
	print_xen();
	print_requests();
	print_replies();
	print_stats();
	print_public();
	return 0;
}
