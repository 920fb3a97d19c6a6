/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/answer/tree.h"

#define NAMES 3000 /* three levels of a tree, when all are there */

static uint64_t state = 5;

static unsigned draw(unsigned below) /* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned)((state * UINT64_C(2685821657736338717)) >> 33) % below;
}

/* A tree beside what it should hold: for each name its node, or 0.  Names below names and
 * others mix in canonical order. */
struct model {
	struct arena *arena;
	struct stage stage;
	ref root, node[NAMES];
};

static struct name name_of(unsigned i)
{
	char text[64];
	struct name n;

	if (i % 3)
		snprintf(text, sizeof(text), "%c.n%04u.tree.", 'a' + i % 3, i / 3);
	else
		snprintf(text, sizeof(text), "n%04u.tree.", i / 3);
	cr_assert_eq(name_from_text(&n, text), 0);
	return n;
}

static ref new_node(struct model *m, unsigned i)
{
	struct name name = name_of(i);
	ref r;

	cr_assert_eq(stage_alloc(&m->stage, sizeof(struct node) + name.len, &r), 0);

	struct node *n = (struct node *)arena_at(m->stage.base, r);

	n->name_len = name.len;
	memcpy(n->name, name.wire, name.len);
	return r;
}

static void check_all(const struct model *m, ref root, const ref *node)
{
	struct tree_iter it;
	ref r = tree_first(&it, m->stage.base, root);

	for (unsigned i = 0; i < NAMES; i++) {
		struct name n = name_of(i);

		cr_assert_eq(tree_find(m->stage.base, root, n.wire), node[i], "name %u", i);
		if (!node[i])
			continue;
		cr_assert_eq(r, node[i], "name %u in order", i);
		r = tree_next(&it);
	}
	cr_assert_eq(r, 0);
}

/* One row of changes through a finger, most of them in canonical order, some behind others. */
static void change_some(struct model *m, struct tree_finger *f)
{
	unsigned stride = 1 + draw(draw(4) ? 4 : 200), likes = draw(5);

	for (unsigned i = draw(200); i < NAMES; i += 1 + draw(stride)) {
		unsigned k = draw(50) ? i : draw(NAMES);
		struct name n = name_of(k);
		bool put = draw(5) < likes + 1;

		if (draw(2))
			cr_assert_eq(tree_finger_find(f, n.wire), m->node[k], "name %u", k);
		if (put) {
			m->node[k] = new_node(m, k);
			cr_assert_eq(tree_finger_put(f, m->node[k]), 0);
		} else if (draw(20) == 0) { /* behind the finger's back */
			tree_finger_lift(f);
			cr_assert_eq(tree_remove(&m->stage, &m->root, n.wire), 0);
			m->node[k] = 0;
		} else {
			cr_assert_eq(tree_finger_remove(f, n.wire), 0);
			m->node[k] = 0;
		}
		if (draw(3) == 0)
			cr_assert_eq(tree_finger_find(f, n.wire), m->node[k], "name %u now", k);
	}
}

Test(tree, a_finger_changes_what_plain_calls_would)
{
	static struct model m;
	static ref before[NAMES];

	cr_assert_eq(arena_create(&m.arena, UINT64_C(256) << 20, ARENA_HUGE_NO), 0);
	m.stage.arena = m.arena;
	m.stage.base = (uint8_t *)arena_map_of(m.arena).base;
	for (m.stage.version = 1; m.stage.version < 150; m.stage.version++) {
		struct tree_finger f = { .stage = &m.stage, .root = &m.root };
		ref old = m.root;

		memcpy(before, m.node, sizeof(before));
		for (unsigned rows = 1 + draw(3); rows > 0; rows--)
			change_some(&m, &f);
		check_all(&m, m.root, m.node);
		check_all(&m, old, before); /* what was published stands */
		for (size_t i = 0; i < m.stage.retired.cnt; i++)
			arena_free(m.arena, m.stage.retired.ref[i]);
		m.stage.retired.cnt = m.stage.fresh.cnt = 0;
	}
	ref_list_free(&m.stage.fresh);
	ref_list_free(&m.stage.retired);
	arena_destroy(m.arena);
}
