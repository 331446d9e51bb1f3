#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# vif.sh online|offline|add|remove - what libxl runs for a network device:
# the backend's interface goes into the bridge. libxl sets vif, bridge and
# XENBUS_PATH.
export PATH=/bin:/sbin:/usr/bin:/usr/sbin

case $1 in
online)
	ip link set "$vif" up &&
		brctl addif "${bridge:-xenbr0}" "$vif" &&
		xenstore-write "$XENBUS_PATH/hotplug-status" connected
	;;
esac
