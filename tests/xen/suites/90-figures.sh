# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=busybox
# nightly
# limit: 900
#
# The figures: vmbypass beside TCP over netfront and libxenvchan, between the
# same two guests in the same boot. Times are those of an emulated machine:
# ratios within one run are all that they tell. A spinning TCP takes the processor
# from the backend of its own network, so TCP blocks. /log/figures.json has the
# lines, /log/figures.txt the table.

out=/log/figures.json
options="--rounds 3 --time 200 --quiet --count none"

vmb_measure()
{
	for wait in spin block; do
		figures_peer=$(serve pvh1 4 "--wait $wait") || return 1
		GUEST_LIMIT=300 guest pv1 "vmb-perf --daemon none \
			--connect $figures_peer --wait $wait $options \
			--test latency,bandwidth --sizes 8,4K,64K --json -" \
			>>$out || return 1
		serve_end pvh1 4
	done
}

peer_measure()
{
	peer_kind_of=$1
	shift
	PEER_LIMIT=300 peer "$peer_kind_of" pvh1 pv1 $options --json - \
		--sizes 8,4K,64K "$@" >>$out && grep -q "\"bench\": *\"$peer_kind_of\"" $out
}

# One line a measurement, and how many times vmbypass is better.
table()
{
	awk '
	function text(key) {
		if (!match($0, "\"" key "\": *\"[^\"]*\"")) return ""
		s = substr($0, RSTART, RLENGTH)
		sub(/^[^:]*: *"/, "", s); sub(/"$/, "", s)
		return s
	}
	function number(key) {
		if (!match($0, "\"" key "\": *[0-9.e+]*")) return 0
		s = substr($0, RSTART, RLENGTH)
		sub(/^[^:]*: */, "", s)
		return s + 0
	}
	/"test"/ {
		match($0, /"rounds": *\{[^}]*\}/)
		line = $0
		$0 = substr(line, RSTART, RLENGTH)
		value = number("median")
		$0 = line
		id = text("test") " " number("size")
		impl = text("impl") " " text("wait")
		have[id, impl] = value
		if (!(id in seen)) { ids[++n] = id; seen[id] = 1 }
		if (!(impl in seen)) { impls[++m] = impl; seen[impl] = 1 }
	}
	END {
		printf "%-16s", "ns or MB/s"
		for (j = 1; j <= m; j++) printf " %15s", impls[j]
		print ""
		for (i = 1; i <= n; i++) {
			printf "%-16s", ids[i]
			for (j = 1; j <= m; j++)
				printf " %15.1f", have[ids[i], impls[j]]
			print ""
		}
	}' $out
}

rm -f $out
guest_attach pv1 pvh1
check "TCP over netfront was measured" peer_measure tcp --wait block
check "libxenvchan was measured" peer_measure vchan
check "vmbypass was measured" vmb_measure
table | tee /log/figures.txt
