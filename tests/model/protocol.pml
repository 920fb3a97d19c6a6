/* SPDX-License-Identifier: GPL-3.0-or-later */
/* protocol.pml - the protocol of dataplane/answer/db_protocol.h: one writer, two readers,
 * one name of one zone that comes, changes and goes, a table that grows, and
 * memory that is used again.
 *
 * Checked, over all interleavings of single loads and stores:
 *   - no reader follows a reference into freed memory;
 *   - a reader's answer is that of its version: no name of that version is missed, no
 *     other version's data is mixed in, and the snapshot (the SOA) is that version's;
 *   - all that was retired is free when the readers have passed.
 *
 * Sequential consistency is assumed: the memory orders are argued edge by edge in
 * db_protocol.h and stressed under ThreadSanitizer, not checked here.
 *
 * Each of these, defined on the command line, breaks a rule and must be found out:
 *   FREE_AT_ONCE      memory is freed at the commit, without a grace period
 *   UNLINK_AT_ONCE    a removed name leaves the table at the commit
 *   ONE_PERIOD        an unlinked name is freed without a second period
 *   LOOK_UNBOUNDED    a look at readers that all sleep counts for what is retired later
 *   PROBE_FIRST       a reader loads the version after its probe
 *   TABLE_IS_TRUTH    a reader believes the table without comparing versions
 *   COMMIT_FIRST      the commit counter is stored before the new node is linked
 */

#ifndef READERS
#define READERS 2
#endif
#ifndef COMMITS
#define COMMITS 2
#endif
#ifndef BURSTS
#define BURSTS 1   /* of the first reader; the second has one */
#endif
#define NODES   5  /* node 0 is none */
#define SNAPS   6
#define OFFLINE 255
#define NEVER   255

byte version = 1;   /* V */
byte epoch = 1;     /* E */
byte table = 0;     /* T: which of two tables is current */
byte head[2];       /* L: the name's entry in each table, a node or 0 */
bool table_live[2] = { true, false };
byte snapshot = 1;  /* S */
byte seen[2] = { OFFLINE, OFFLINE }; /* Q */

bool node_live[NODES];
byte created[NODES], deleted[NODES];
bool snap_live[SNAPS];
byte snap_version[SNAPS], snap_prev[SNAPS], snap_node[SNAPS];

/* What the name's node is in each version: for the assertions only. */
byte truth[COMMITS + 2];

/* The queue of retired memory: item i may go once all readers have passed due[i]. */
#define ITEMS 16
#define FREE_NODE 1
#define UNLINK_NODE 2
#define FREE_SNAP 3
#define FREE_TABLE 4
byte item_kind[ITEMS], item_what[ITEMS], item_due[ITEMS];
byte first, last;

#define RETIRE(k, w) \
	item_kind[last] = k; item_what[last] = w; item_due[last] = epoch + 1; last++

/* One look at the readers serves for several items: `looked` is the epoch that all had
 * reached then, and never more than the newest epoch of that time. */
byte looked;

#define LEAST(a, b) (a < b -> a : b)
#ifdef LOOK_UNBOUNDED
#define LOOK LEAST(seen[0], seen[1])
#else
#define LOOK LEAST(LEAST(seen[0], seen[1]), epoch)
#endif
#ifdef FREE_AT_ONCE
#define PASSED(due) true
#else
#define PASSED(due) (looked >= due)
#endif

inline take_node(n)
{
	n = 1;
	do
	:: n < NODES && node_live[n] -> n++
	:: else -> break
	od;
}

inline take_snap(s)
{
	s = 1;
	do
	:: s < SNAPS && snap_live[s] -> s++
	:: else -> break
	od;
}

/* One step of reclamation: the oldest item, if all readers have passed. */
inline reclaim()
{
	if
	:: first < last && PASSED(item_due[first]) ->
		atomic {
			if
			:: item_kind[first] == FREE_NODE -> node_live[item_what[first]] = false
			:: item_kind[first] == FREE_SNAP -> snap_live[item_what[first]] = false
			:: item_kind[first] == FREE_TABLE -> table_live[item_what[first]] = false
			:: item_kind[first] == UNLINK_NODE ->
				if
				:: head[table] == item_what[first] -> head[table] = 0
				:: else -> skip /* the name is back, or in the old table no more */
				fi;
#ifdef ONE_PERIOD
				node_live[item_what[first]] = false;
#else
				RETIRE(FREE_NODE, item_what[first]);
				epoch++;
#endif
			fi;
			item_kind[first] = 0; item_what[first] = 0; item_due[first] = 0;
			first++;
			if
			:: first == last -> first = 0; last = 0
			:: else -> skip
			fi
		}
	:: else -> skip
	fi
}

proctype writer()
{
	byte commits = 0, old, fresh, s, other;
	bool grow;

	do
	:: commits < COMMITS ->
		/* 1: stage.  `old` is the name's node in the newest version. */
		atomic {
			old = snap_node[snapshot];
			fresh = 0;
			take_snap(s);
			if
			:: true -> take_node(fresh) /* the name comes or changes */
			:: old != 0 -> skip         /* the name goes */
			fi;
			if
			:: s < SNAPS && fresh < NODES -> skip
			:: else -> goto abort_        /* no memory: an abort */
			fi;
			if
			:: fresh != 0 ->
				node_live[fresh] = true;
				created[fresh] = version + 1;
				deleted[fresh] = NEVER
			:: else -> skip
			fi;
			snap_live[s] = true;
			snap_version[s] = version + 1;
			snap_prev[s] = snapshot;
			snap_node[s] = fresh;
			truth[version + 1] = fresh
		}
		/* The table may grow: the other one is filled, then published. */
		if
		:: table_live[1 - table] == false ->
			atomic {
				other = 1 - table;
				table_live[other] = true;
				head[other] = head[table]
			}
			table = other; /* T */
			grow = true
		:: grow = false
		fi;
#ifdef COMMIT_FIRST
		version = version + 1;
#endif
		/* 2: link, or mark as removed. */
		if
		:: fresh != 0 -> head[table] = fresh /* L */
		:: else ->
			deleted[old] = snap_version[s]; /* D */
#ifdef UNLINK_AT_ONCE
			head[table] = 0;
#endif
		fi;
		/* 3 */
		snapshot = s; /* S */
		/* 4 */
#ifndef COMMIT_FIRST
		version = version + 1; /* V */
#endif
		/* 5 */
		atomic {
			if
			:: old != 0 && fresh != 0 -> RETIRE(FREE_NODE, old)
			:: old != 0 && fresh == 0 -> RETIRE(UNLINK_NODE, old)
			:: else -> skip
			fi;
			RETIRE(FREE_SNAP, snap_prev[s]);
			if
			:: grow -> RETIRE(FREE_TABLE, 1 - table)
			:: else -> skip
			fi
		}
		epoch = epoch + 1; /* E */
abort_:		atomic { commits++; old = 0; fresh = 0; s = 0; other = 0; grow = false }
	:: first < last && looked < item_due[first] -> looked = LOOK
	:: reclaim()
	:: commits == COMMITS && first == last -> break
	od;
	/* Only what the newest version holds is left. */
	assert(snap_live[snapshot]);
	assert(snap_node[snapshot] == 0 || node_live[snap_node[snapshot]])
}

proctype reader(byte me; byte todo)
{
	byte v, t, n, s, answer, e;

	do
	:: todo > 0 ->
		/* O: online */
		do
		:: e = epoch;
			seen[me] = e;
			if
			:: epoch == e -> break
			:: else -> skip
			fi
		od;
burst:
#ifdef PROBE_FIRST
		t = table; assert(table_live[t]); n = head[t];
		v = version;
#else
		v = version; /* V */
		t = table;   /* T */
		assert(table_live[t]);
		n = head[t]; /* L */
#endif
		s = snapshot; /* S */
		do
		:: assert(snap_live[s]);
			if
			:: snap_version[s] > v -> s = snap_prev[s]
			:: else -> break
			fi
		od;
		assert(snap_version[s] == v); /* the SOA of this very version */
		if
		:: n == 0 -> answer = 0
		:: else ->
			assert(node_live[n]);
#ifdef TABLE_IS_TRUTH
			answer = n;
#else
			if
			:: created[n] <= v && deleted[n] > v -> answer = n
			:: else -> answer = snap_node[s] /* the tree */
			fi;
#endif
		fi;
		assert(answer == 0 || node_live[answer]);
		assert(answer == truth[v]);
		todo--;
		v = 0; t = 0; n = 0; s = 0; answer = 0;
		/* Q: quiescent; then another burst, or sleep */
		e = epoch;
		seen[me] = e;
		e = 0;
		if
		:: todo > 0 -> goto burst
		:: true -> seen[me] = OFFLINE
		fi
	:: todo == 0 -> break
	od
}

init {
	atomic {
		snap_live[1] = true;
		snap_version[1] = 1;
		truth[1] = 0;
		run writer();
		run reader(0, BURSTS);
		if
		:: READERS > 1 -> run reader(1, 1)
		:: else -> skip
		fi
	}
}
