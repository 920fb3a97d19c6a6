/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What DO adds to answers: signatures and proofs.  The zones in zones/ were signed by
 * dnssec-signzone; those named after RFCs hold the records of their appendix A, and the tests
 * named so ask what appendix B asks. */
#include <criterion/criterion.h>

#include "signed.h"

static struct lab lab;

static void open_lab(void)
{
	lab_open(&lab);
}

static size_t ask_wire(const char *qname, uint16_t qtype, uint16_t edns, bool dnssec_ok,
		       enum transport transport, uint8_t *out)
{
	uint8_t msg[512];
	size_t len = question(msg, qname, qtype, edns);

	if (dnssec_ok)
		msg[len - 4] = 0x80;
	return answer_in(&lab, msg, len, transport, transport == TRANSPORT_TCP ? 65535 : 4096, out);
}

/* brief - an answer's lines shortened to "SECTION OWNER TYPE": of an RRSIG also what it
 * covers, of NSEC the next name, with "example." left out of owners.  OPT is not shown. */
static const char *brief(const char *text)
{
	static char out[1 << 16];
	char *p = out, section[8], owner[512], type[32], first[512], line[1 << 16];
	int ttl;

	for (const char *end; *text; text = end + 1) {
		end = strchr(text, '\n');
		snprintf(line, sizeof(line), "%.*s", (int)(end - text), text);
		if (p == out) {
			p += sprintf(p, "%s", line);
			continue;
		}
		cr_assert_eq(sscanf(line, "%7s %511s %d IN %31s %511s", section, owner, &ttl, type, first), 5,
			     "%s", line);
		char *tail = strstr(owner, "example.");

		if (tail && tail[8] == 0)
			*tail = 0;
		p += sprintf(p, "; %s %s %s", section, *owner ? owner : "@", type);
		if (!strcmp(type, "RRSIG") || !strcmp(type, "NSEC"))
			p += sprintf(p, " %s", first);
	}
	return out;
}

static const char *ask(const char *qname, uint16_t qtype, bool dnssec_ok)
{
	static uint8_t out[1 << 16];
	size_t len = ask_wire(qname, qtype, 4096, dnssec_ok, TRANSPORT_TCP, out);
	const char *text = answer_text(out, len);

	cr_assert_not_null(text, "%s: malformed answer", qname);
	return text;
}

static void expect(const char *qname, uint16_t qtype, const char *want)
{
	const char *got = brief(ask(qname, qtype, true));

	cr_expect_str_eq(got, want, "%s type %u:\ngot:  %s\nwant: %s\n", qname, qtype, got, want);
}

Test(dnssec, rfc4035_b, .init = open_lab)
{
	lab_put_file(&lab, "rfc4035");
	expect("x.w.example.", TYPE_MX,
	       "NOERROR aa; an x.w. MX; an x.w. RRSIG MX");
	expect("ml.example.", TYPE_A,
	       "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA; ns b. NSEC ns1.example.; "
	       "ns b. RRSIG NSEC; ns @ NSEC a.example.; ns @ RRSIG NSEC");
	expect("ns1.example.", TYPE_MX,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns ns1. NSEC ns2.example.; "
	       "ns ns1. RRSIG NSEC");
	expect("mc.a.example.", TYPE_MX,
	       "NOERROR; ns a. NS; ns a. NS; ns a. DS; ns a. RRSIG DS; ar ns1.a. A; "
	       "ar ns2.a. A");
	expect("mc.b.example.", TYPE_MX,
	       "NOERROR; ns b. NS; ns b. NS; ns b. NSEC ns1.example.; ns b. RRSIG NSEC; "
	       "ar ns1.b. A; ar ns2.b. A");
	expect("a.z.w.example.", TYPE_MX,
	       "NOERROR aa; an a.z.w. MX; an a.z.w. RRSIG MX; ns x.y.w. NSEC xx.example.; "
	       "ns x.y.w. RRSIG NSEC");
	expect("a.z.w.example.", TYPE_AAAA,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns x.y.w. NSEC xx.example.; "
	       "ns x.y.w. RRSIG NSEC; ns *.w. NSEC x.w.example.; ns *.w. RRSIG NSEC");
	expect("example.", TYPE_DS,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns @ NSEC a.example.; ns @ RRSIG NSEC");
}

Test(dnssec, rfc5155_b, .init = open_lab)
{
	lab_put_file(&lab, "rfc5155");
	expect("a.c.x.w.example.", TYPE_A,
	       "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns b4um86eghhds6nea196smvmlo4ors995. NSEC3; "
	       "ns b4um86eghhds6nea196smvmlo4ors995. RRSIG NSEC3; "
	       "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. NSEC3; "
	       "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. RRSIG NSEC3; "
	       "ns 35mthgpgcu1qg68fab165klnsnk3dpvl. NSEC3; "
	       "ns 35mthgpgcu1qg68fab165klnsnk3dpvl. RRSIG NSEC3");
	expect("ns1.example.", TYPE_MX,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns 2t7b4g4vsa5smi47k61mv5bv1a22bojr. NSEC3; "
	       "ns 2t7b4g4vsa5smi47k61mv5bv1a22bojr. RRSIG NSEC3");
	expect("y.w.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns ji6neoaepv8b5o6k4ev33abha8ht9fgc. NSEC3; "
	       "ns ji6neoaepv8b5o6k4ev33abha8ht9fgc. RRSIG NSEC3");
	expect("mc.c.example.", TYPE_MX,
	       "NOERROR; ns c. NS; ns c. NS; ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. NSEC3; "
	       "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. RRSIG NSEC3; "
	       "ns 35mthgpgcu1qg68fab165klnsnk3dpvl. NSEC3; "
	       "ns 35mthgpgcu1qg68fab165klnsnk3dpvl. RRSIG NSEC3; ar ns1.c. A; ar ns2.c. A");
	expect("a.z.w.example.", TYPE_MX,
	       "NOERROR aa; an a.z.w. MX; an a.z.w. RRSIG MX; "
	       "ns q04jkcevqvmu85r014c7dkba38o0ji5r. NSEC3; "
	       "ns q04jkcevqvmu85r014c7dkba38o0ji5r. RRSIG NSEC3");
	expect("a.z.w.example.", TYPE_AAAA,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns k8udemvp1j2f7eg6jebps17vp3n8i58h. NSEC3; "
	       "ns k8udemvp1j2f7eg6jebps17vp3n8i58h. RRSIG NSEC3; "
	       "ns q04jkcevqvmu85r014c7dkba38o0ji5r. NSEC3; "
	       "ns q04jkcevqvmu85r014c7dkba38o0ji5r. RRSIG NSEC3; "
	       "ns r53bq7cc2uvmubfu5ocmm6pers9tk9en. NSEC3; "
	       "ns r53bq7cc2uvmubfu5ocmm6pers9tk9en. RRSIG NSEC3");
	expect("example.", TYPE_DS,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. NSEC3; "
	       "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. RRSIG NSEC3");
	expect("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example.", TYPE_NSEC3,
	       "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. NSEC3; "
	       "ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. RRSIG NSEC3; "
	       "ns q04jkcevqvmu85r014c7dkba38o0ji5r. NSEC3; "
	       "ns q04jkcevqvmu85r014c7dkba38o0ji5r. RRSIG NSEC3; "
	       "ns gjeqe526plbf1g8mklp59enfd789njgi. NSEC3; "
	       "ns gjeqe526plbf1g8mklp59enfd789njgi. RRSIG NSEC3");
	expect("2t7b4g4vsa5smi47k61mv5bv1a22bojr.example.", TYPE_A,
	       "NOERROR aa; an 2t7b4g4vsa5smi47k61mv5bv1a22bojr. A; "
	       "an 2t7b4g4vsa5smi47k61mv5bv1a22bojr. RRSIG A");
	expect("2t7b4g4vsa5smi47k61mv5bv1a22bojr.example.", TYPE_NSEC3,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns kohar7mbb8dc2ce8a9qvl8hon4k53uhi. NSEC3; "
	       "ns kohar7mbb8dc2ce8a9qvl8hon4k53uhi. RRSIG NSEC3");
}

Test(dnssec, mixed_nsec, .init = open_lab)
{
	lab_put_file(&lab, "mixed-nsec");
	expect("b.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns alias. NSEC deep.a.b.example.; "
	       "ns alias. RRSIG NSEC");
	expect("x.b.example.", TYPE_A,
	       "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA; ns deep.a.b. NSEC *.chain.example.; "
	       "ns deep.a.b. RRSIG NSEC; ns alias. NSEC deep.a.b.example.; "
	       "ns alias. RRSIG NSEC");
	expect("wild.example.", TYPE_TXT,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns a.*.starent. NSEC *.wild.example.; "
	       "ns a.*.starent. RRSIG NSEC");
	expect("ent.wild.example.", TYPE_TXT,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns *.wild. NSEC sub.ent.wild.example.; "
	       "ns *.wild. RRSIG NSEC");
	expect("x.wild.example.", TYPE_TXT,
	       "NOERROR aa; an x.wild. TXT; an x.wild. RRSIG TXT; "
	       "ns exists.wild. NSEC www.example.; ns exists.wild. RRSIG NSEC");
	expect("*.wild.example.", TYPE_TXT,
	       "NOERROR aa; an *.wild. TXT; an *.wild. RRSIG TXT");
	expect("*.wild.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns *.wild. NSEC sub.ent.wild.example.; "
	       "ns *.wild. RRSIG NSEC");
	expect("x.starent.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns a.*.starent. NSEC *.wild.example.; "
	       "ns a.*.starent. RRSIG NSEC; ns ns1. NSEC a.*.starent.example.; "
	       "ns ns1. RRSIG NSEC");
	expect("q.chain.example.", TYPE_A,
	       "NOERROR aa; an q.chain. CNAME; an q.chain. RRSIG CNAME; an x.cwild. CNAME; "
	       "an x.cwild. RRSIG CNAME; an www. A; an www. RRSIG A; "
	       "ns *.chain. NSEC cut.example.; ns *.chain. RRSIG NSEC; "
	       "ns *.cwild. NSEC d.example.; ns *.cwild. RRSIG NSEC");
	expect("q.chain.example.", TYPE_AAAA,
	       "NOERROR aa; an q.chain. CNAME; an q.chain. RRSIG CNAME; an x.cwild. CNAME; "
	       "an x.cwild. RRSIG CNAME; ns @ SOA; ns @ RRSIG SOA; "
	       "ns *.chain. NSEC cut.example.; ns *.chain. RRSIG NSEC; "
	       "ns *.cwild. NSEC d.example.; ns *.cwild. RRSIG NSEC; ns www. NSEC example.; "
	       "ns www. RRSIG NSEC");
	expect("none.example.", TYPE_A,
	       "NXDOMAIN aa; an none. CNAME; an none. RRSIG CNAME; ns @ SOA; ns @ RRSIG SOA; "
	       "ns none. NSEC ns1.example.; ns none. RRSIG NSEC; ns @ NSEC alias.example.; "
	       "ns @ RRSIG NSEC");
	expect("x.cut.example.", TYPE_A,
	       "NOERROR; ns cut. NS; ns cut. DS; ns cut. RRSIG DS; ar ns.cut. A");
	expect("ns.cut.example.", TYPE_A,
	       "NOERROR; ns cut. NS; ns cut. DS; ns cut. RRSIG DS; ar ns.cut. A");
	expect("lame.example.", TYPE_DS,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns lame. NSEC none.example.; "
	       "ns lame. RRSIG NSEC");
	expect("cut.example.", TYPE_DS,
	       "NOERROR aa; an cut. DS; an cut. RRSIG DS");
	expect("x.in.ent2.example.", TYPE_A,
	       "NOERROR; ns in.ent2. NS; ns in.ent2. NSEC sec.ent3.example.; "
	       "ns in.ent2. RRSIG NSEC");
	expect("ent2.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; ns d. NSEC in.ent2.example.; "
	       "ns d. RRSIG NSEC");
	expect("deep.d.example.", TYPE_A,
	       "NOERROR aa; an d. DNAME; an d. RRSIG DNAME; an deep.d. CNAME; an deep.a.b. A; "
	       "an deep.a.b. RRSIG A");
	expect("x.d.example.", TYPE_A,
	       "NXDOMAIN aa; an d. DNAME; an d. RRSIG DNAME; an x.d. CNAME; ns @ SOA; "
	       "ns @ RRSIG SOA; ns deep.a.b. NSEC *.chain.example.; ns deep.a.b. RRSIG NSEC; "
	       "ns alias. NSEC deep.a.b.example.; ns alias. RRSIG NSEC");
	expect("!.example.", TYPE_A,
	       "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA; ns @ NSEC alias.example.; "
	       "ns @ RRSIG NSEC");
	expect("example.", TYPE_NS,
	       "NOERROR aa; an @ NS; an @ NS; an @ RRSIG NS; ar ns1. A; ar ns1. RRSIG A; "
	       "ar ns1. AAAA; ar ns1. RRSIG AAAA");
	expect("www.example.", TYPE_RRSIG, /* asked over TCP */
	       "NOERROR aa; an www. RRSIG A; an www. RRSIG TXT; an www. RRSIG NSEC");
	expect("www.example.", TYPE_ANY,
	       "NOERROR aa; an www. A; an www. RRSIG A; an www. TXT; an www. RRSIG TXT; "
	       "an www. NSEC example.; an www. RRSIG NSEC");
	expect("www.example.", TYPE_NSEC,
	       "NOERROR aa; an www. NSEC example.; an www. RRSIG NSEC");
}

Test(dnssec, mixed_nsec3, .init = open_lab)
{
	lab_put_file(&lab, "mixed-nsec3");
	expect("b.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns b39f52k2414ait0pcpfjosgb4bs25jpe. NSEC3; "
	       "ns b39f52k2414ait0pcpfjosgb4bs25jpe. RRSIG NSEC3");
	expect("x.b.example.", TYPE_A,
	       "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns b39f52k2414ait0pcpfjosgb4bs25jpe. NSEC3; "
	       "ns b39f52k2414ait0pcpfjosgb4bs25jpe. RRSIG NSEC3; "
	       "ns 409p632t6io6s2c45okpu7obp219tfcq. NSEC3; "
	       "ns 409p632t6io6s2c45okpu7obp219tfcq. RRSIG NSEC3; "
	       "ns cd8pgn6llg15vi7o1305vlhtkso3kjku. NSEC3; "
	       "ns cd8pgn6llg15vi7o1305vlhtkso3kjku. RRSIG NSEC3");
	expect("x.starent.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns 8a3n5jcjof9vnkq71c5bg3dpcttpp9bh. NSEC3; "
	       "ns 8a3n5jcjof9vnkq71c5bg3dpcttpp9bh. RRSIG NSEC3; "
	       "ns 409p632t6io6s2c45okpu7obp219tfcq. NSEC3; "
	       "ns 409p632t6io6s2c45okpu7obp219tfcq. RRSIG NSEC3; "
	       "ns upat77g77dagmckr9kbm6egojs7b1j03. NSEC3; "
	       "ns upat77g77dagmckr9kbm6egojs7b1j03. RRSIG NSEC3");
	expect("q.chain.example.", TYPE_A,
	       "NOERROR aa; an q.chain. CNAME; an q.chain. RRSIG CNAME; an x.cwild. CNAME; "
	       "an x.cwild. RRSIG CNAME; an www. A; an www. RRSIG A; "
	       "ns b39f52k2414ait0pcpfjosgb4bs25jpe. NSEC3; "
	       "ns b39f52k2414ait0pcpfjosgb4bs25jpe. RRSIG NSEC3; "
	       "ns cd8pgn6llg15vi7o1305vlhtkso3kjku. NSEC3; "
	       "ns cd8pgn6llg15vi7o1305vlhtkso3kjku. RRSIG NSEC3");
	expect("x.in.ent2.example.", TYPE_A,
	       "NOERROR; ns in.ent2. NS; ns g4e2sclnlhoiefn6veqdalkgio9jdbs4. NSEC3; "
	       "ns g4e2sclnlhoiefn6veqdalkgio9jdbs4. RRSIG NSEC3");
	expect("ent2.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns joc5mrpqk9tsdsoosuifdp40t65f4657. NSEC3; "
	       "ns joc5mrpqk9tsdsoosuifdp40t65f4657. RRSIG NSEC3");
	expect("x.ent2.example.", TYPE_A,
	       "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns joc5mrpqk9tsdsoosuifdp40t65f4657. NSEC3; "
	       "ns joc5mrpqk9tsdsoosuifdp40t65f4657. RRSIG NSEC3; "
	       "ns upat77g77dagmckr9kbm6egojs7b1j03. NSEC3; "
	       "ns upat77g77dagmckr9kbm6egojs7b1j03. RRSIG NSEC3; "
	       "ns q75t0s9g6afo7mgcl88t4krqrht8tuo5. NSEC3; "
	       "ns q75t0s9g6afo7mgcl88t4krqrht8tuo5. RRSIG NSEC3");
	expect("lame.example.", TYPE_DS,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns h0bhm3uiddfukhaamelvrmrkkntmob2f. NSEC3; "
	       "ns h0bhm3uiddfukhaamelvrmrkkntmob2f. RRSIG NSEC3");
}

Test(dnssec, mixed_optout, .init = open_lab)
{
	lab_put_file(&lab, "mixed-optout");
	expect("x.in.ent2.example.", TYPE_A,
	       "NOERROR; ns in.ent2. NS; ns voer6g5upasvpmnj4hdv9uc6odnbhnva. NSEC3; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. RRSIG NSEC3; "
	       "ns qem6pknma7bquh9at3qj6bjb3i9jl1j1. NSEC3; "
	       "ns qem6pknma7bquh9at3qj6bjb3i9jl1j1. RRSIG NSEC3");
	expect("ent2.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. NSEC3; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. RRSIG NSEC3; "
	       "ns qem6pknma7bquh9at3qj6bjb3i9jl1j1. NSEC3; "
	       "ns qem6pknma7bquh9at3qj6bjb3i9jl1j1. RRSIG NSEC3");
	expect("x.ent2.example.", TYPE_A,
	       "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. NSEC3; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. RRSIG NSEC3; "
	       "ns qem6pknma7bquh9at3qj6bjb3i9jl1j1. NSEC3; "
	       "ns qem6pknma7bquh9at3qj6bjb3i9jl1j1. RRSIG NSEC3; "
	       "ns 8dv0f7vb2873t4om2q54c945dgji0vjv. NSEC3; "
	       "ns 8dv0f7vb2873t4om2q54c945dgji0vjv. RRSIG NSEC3");
	expect("in.ent2.example.", TYPE_DS,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. NSEC3; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. RRSIG NSEC3; "
	       "ns qem6pknma7bquh9at3qj6bjb3i9jl1j1. NSEC3; "
	       "ns qem6pknma7bquh9at3qj6bjb3i9jl1j1. RRSIG NSEC3");
	expect("lame.example.", TYPE_DS,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. NSEC3; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. RRSIG NSEC3; "
	       "ns 0bsldgjfdm60r66rori5dhe55vbjirnc. NSEC3; "
	       "ns 0bsldgjfdm60r66rori5dhe55vbjirnc. RRSIG NSEC3");
	expect("x.lame.example.", TYPE_A,
	       "NOERROR; ns lame. NS; ns voer6g5upasvpmnj4hdv9uc6odnbhnva. NSEC3; "
	       "ns voer6g5upasvpmnj4hdv9uc6odnbhnva. RRSIG NSEC3; "
	       "ns 0bsldgjfdm60r66rori5dhe55vbjirnc. NSEC3; "
	       "ns 0bsldgjfdm60r66rori5dhe55vbjirnc. RRSIG NSEC3");
	expect("x.sec.ent3.example.", TYPE_A,
	       "NOERROR; ns sec.ent3. NS; ns sec.ent3. DS; ns sec.ent3. RRSIG DS");
	expect("ent3.example.", TYPE_A,
	       "NOERROR aa; ns @ SOA; ns @ RRSIG SOA; "
	       "ns g7v8eio1s7n92shlkvv2suv1p8bte1md. NSEC3; "
	       "ns g7v8eio1s7n92shlkvv2suv1p8bte1md. RRSIG NSEC3");
	expect("q.chain.example.", TYPE_A,
	       "NOERROR aa; an q.chain. CNAME; an q.chain. RRSIG CNAME; an x.cwild. CNAME; "
	       "an x.cwild. RRSIG CNAME; an www. A; an www. RRSIG A; "
	       "ns jl81r2r6qa0odlh9bnf4vbiu8m3u6qv9. NSEC3; "
	       "ns jl81r2r6qa0odlh9bnf4vbiu8m3u6qv9. RRSIG NSEC3; "
	       "ns lf0q0edn363r89i8bgmid1udv1rjqa39. NSEC3; "
	       "ns lf0q0edn363r89i8bgmid1udv1rjqa39. RRSIG NSEC3");
}

/* Who does not ask for it gets no DNSSEC record but by its own name (RFC 3225, RFC 4035
 * section 3.1), whatever the answer is. */
Test(dnssec, without_do, .init = open_lab)
{
	static const char *const zones[] = { "rfc4035", "rfc5155", "mixed-nsec", "mixed-nsec3", "mixed-optout" };
	static const char *const names[] = { "example.", "www.example.", "nothing.example.", "x.cut.example.",
		"x.lame.example.", "x.wild.example.", "q.chain.example.", "x.d.example.", "b.example.",
		"mc.b.example.", "a.z.w.example." };

	for (unsigned z = 0; z < 5; z++) {
		lab_put_file(&lab, zones[z]);
		for (unsigned i = 0; i < 11; i++) {
			const char *text = ask(names[i], TYPE_A, false);

			cr_expect(!strstr(text, "RRSIG") && !strstr(text, "NSEC") && !strstr(text, "DS"),
				  "%s: %s", names[i], text);
		}
	}
}

/* Every answer at every limit is well formed, and says TC exactly when something that is
 * required was left out: all but the additional section. */
Test(dnssec, limits, .init = open_lab)
{
	static const char *const zones[] = { "mixed-nsec", "mixed-nsec3", "mixed-optout" };
	static const char *const names[] = { "example.", "www.example.", "nothing.b.example.", "x.cut.example.",
		"x.lame.example.", "x.in.ent2.example.", "x.wild.example.", "q.chain.example.", "x.d.example." };
	uint8_t msg[512], whole[1 << 16], out[4096];

	for (unsigned z = 0; z < 3; z++) {
		lab_put_file(&lab, zones[z]);
		for (unsigned i = 0; i < 9; i++) {
			size_t full = ask_wire(names[i], TYPE_NS, 4096, true, TRANSPORT_TCP, whole);
			size_t len = question(msg, names[i], TYPE_NS, 4096);

			msg[len - 4] = 0x80;
			for (size_t max = 64; max < 1232; max++) {
				size_t n = answer_in(&lab, msg, len, TRANSPORT_UDP, max, out);
				bool tc = out[2] & 2;

				cr_assert(n <= max && answer_text(out, n), "%s at %zu", names[i], max);
				cr_assert(!tc || full > max, "%s at %zu: TC without need", names[i], max);
				cr_assert(tc || (!memcmp(out + 6, whole + 6, 4)), "%s at %zu: a section is short",
					  names[i], max);
			}
		}
	}
}

/* The negative TTL also of the SOA's signature (RFC 2308 section 3, RFC 4034 section 3). */
Test(dnssec, negative_ttl, .init = open_lab)
{
	lab_put_file(&lab, "mixed-nsec");
	const char *text = ask("nothing.example.", TYPE_A, true);

	cr_expect(strstr(text, "ns example. 60 IN SOA"));
	cr_expect(strstr(text, "ns example. 60 IN RRSIG SOA"));
}

/* ---- changes ---- */

#define POOL_MAX 4096

/* RRsets of three signings of one zone, to be put and taken at random. */
static struct rrset_change pool[POOL_MAX];
static unsigned pool_cnt;

static void pool_fill(const char *file, struct records *rs)
{
	static char path[4096], text[1 << 16];
	struct name apex;

	snprintf(path, sizeof(path), TEST_ZONES "/%s.zone", file);
	FILE *f = fopen(path, "r");
	size_t len = f ? fread(text, 1, sizeof(text), f) : 0;

	cr_assert(f);
	fclose(f);
	records_init(rs);
	name_from_text(&apex, "example.");
	cr_assert_eq(zonefile_read_text(rs, &apex, text, len, file, lab_report, NULL), 0);
	for (size_t i = 0, n; i < rs->cnt; i += n) {
		const struct record *rr = &rs->rr[i];

		for (n = 1; i + n < rs->cnt && rr[n].type == rr->type &&
			    name_cmp(rr[n].owner, rr->owner) == 0; n++)
			;
		if (rr->type == TYPE_SOA || (rr->type == TYPE_NS && name_cmp(rr->owner, apex.wire) == 0))
			continue;
		cr_assert(pool_cnt < POOL_MAX);
		pool[pool_cnt++] = (struct rrset_change){ .owner = rr->owner, .rr = rr, .rr_cnt = n, .type = rr->type };
	}
}

static int collect(void *arg, const uint8_t *owner, uint16_t type, uint32_t ttl,
		   const uint8_t *rdata, uint16_t rdata_len)
{
	return records_add(arg, owner, type, ttl, rdata, rdata_len, 0, 0);
}

static void put_records(struct lab *l, const struct name *apex, const struct records *rs)
{
	struct txn *t = db_begin(l->db);
	uint64_t version;

	cr_assert_eq(txn_zone_put(t, apex, rs), 0);
	cr_assert_eq(txn_commit(t, &version), 0);
}

/* Whichever way a zone came to its records, RRset by RRset, by reloads or afresh: the same
 * answers and proofs. */
Test(dnssec, changes, .init = open_lab)
{
	static const char *const names[] = { "example.", "www.example.", "b.example.", "x.b.example.", "zz.example.",
		"q.wild.example.", "*.wild.example.", "x.ent.wild.example.", "q.chain.example.", "x.d.example.",
		"x.cut.example.", "cut.example.", "x.lame.example.", "ent2.example.", "x.ent2.example.", "in.ent2.example.",
		"x.in.ent2.example.", "x.sec.ent3.example.", "ent3.example.", "x.starent.example.", "none.example.",
		"b39f52k2414ait0pcpfjosgb4bs25jpe.example.", "x.b39f52k2414ait0pcpfjosgb4bs25jpe.example." };
	static const uint16_t types[] = { TYPE_A, TYPE_DS, TYPE_NSEC3, TYPE_RRSIG };
	static uint8_t out[2][1 << 16];
	static const uint8_t target[] = "\6target\5other";
	struct records sources[3];
	struct lab reloaded, fresh;
	struct name apex;
	unsigned kinds[3] = { 0 }; /* no proofs, NSEC, NSEC3 */

	name_from_text(&apex, "example.");
	lab_put_file(&lab, "mixed-nsec");
	lab_open(&reloaded);
	pool_fill("mixed-nsec", &sources[0]);
	pool_fill("mixed-nsec3", &sources[1]);
	pool_fill("mixed-optout", &sources[2]);
	srandom(1);
	for (unsigned round = 0; round < 600; round++) {
		struct txn *t = db_begin(lab.db);
		struct rrset_change c = pool[(unsigned)random() % pool_cnt];
		uint64_t version;
		struct records rs;

		/* Now and then the parameters, so that chains come and go. */
		while (round % 20 == 0 && c.type != TYPE_NSEC3PARAM)
			c = pool[(unsigned)random() % pool_cnt];
		if (random() % 3 == 0)
			c.rr_cnt = 0;
		/* And for a short time a DNAME at the apex. */
		struct record dname = { .owner = apex.wire, .type = TYPE_DNAME, .ttl = 60, .rdata = (uint8_t *)target,
					.rdata_len = sizeof(target) };

		if (round % 20 == 10 || round % 20 == 13)
			c = (struct rrset_change){ .owner = apex.wire, .type = TYPE_DNAME, .rr = &dname,
						   .rr_cnt = round % 20 == 10 };
		cr_assert_eq(txn_change(t, &apex, &c, 1, NULL, NULL), 0);
		cr_assert_eq(txn_commit(t, &version), 0);

		records_init(&rs);
		reader_begin(&lab.reader);
		cr_assert_eq(reader_walk(&lab.reader, &apex, NULL, collect, &rs), 0);
		cr_assert_eq(records_sort(&rs), 0);
		put_records(&reloaded, &apex, &rs);
		lab_open(&fresh);
		put_records(&fresh, &apex, &rs);
		records_free(&rs);
		for (unsigned i = 0; i < 23 * 4; i++) {
			struct lab *others[] = { &reloaded, &fresh };
			uint8_t msg[512];
			size_t len = question(msg, names[i / 4], types[i % 4], 4096), n;

			msg[len - 4] = 0x80;
			n = answer_in(&lab, msg, len, TRANSPORT_TCP, 65535, out[0]);
			for (unsigned k = 0; k < 2; k++) {
				size_t m = answer_in(others[k], msg, len, TRANSPORT_TCP, 65535, out[1]);

				cr_assert(m == n && !memcmp(out[0], out[1], n), "round %u, %s type %u, %s:\n%s",
					  round, names[i / 4], types[i % 4], k ? "fresh" : "reloaded",
					  answer_text(out[1], m));
			}
			const char *text = names[i / 4][0] == 'z' && i % 4 == 0 ? answer_text(out[0], n) : NULL;

			if (text)
				kinds[strstr(text, " NSEC3 ") ? 2 : strstr(text, " NSEC ") ? 1 : 0]++;
		}
		db_destroy(fresh.db);
		while (db_reclaim(lab.db) || db_reclaim(reloaded.db))
			;
		/* Hashes are made for another chain at any time, or not before the next change. */
		if (random() % 2)
			db_rehash(lab.db);
		if (random() % 2)
			db_rehash(reloaded.db);
	}
	for (unsigned i = 0; i < 3; i++)
		records_free(&sources[i]);
	db_destroy(reloaded.db);
	cr_assert(kinds[1] > 20 && kinds[2] > 20, "%u none, %u NSEC, %u NSEC3", kinds[0], kinds[1], kinds[2]);
}

/* A chain's proofs stand in the authority section, also when it ends at a cut of an unsigned
 * zone that has a DS. */
Test(dnssec, wildcard_chain_to_unsigned_cut, .init = open_lab)
{
	lab_put(&lab, "signed.", "$TTL 60\n@ SOA . . 1 1 1 1 30\n@ NS .\n@ NSEC *.w NS SOA NSEC\n"
		"*.w CNAME x.cut.example.\n*.w NSEC @ CNAME RRSIG NSEC\n"
		"*.w RRSIG CNAME 8 2 60 20300101000000 20200101000000 1 @ AAAA\n");
	lab_put_sample(&lab);
	const char *got = ask("y.w.signed.", TYPE_A, true);
	const char *nsec = strstr(got, "ns *.w.signed. 60 IN NSEC "), *glue = strstr(got, "ar ns.cut.example. 300 IN A ");

	cr_assert(nsec && glue && nsec < glue, "%s", got);
	cr_assert_null(strstr(got, "ns ns.cut.example."), "%s", got);
}

/* A DNAME at the apex hides what is below it, but not the NSEC3 records there, whose owners are
 * no names (RFC 6672 section 2.4, RFC 5155 section 7.2.8). */
Test(dnssec, dname_at_the_apex, .init = open_lab)
{
#define HASH "3msev9usmd4br9s97v51r2tdvmr9iqo1" /* of example. */
#define BELOW_HASH "x." HASH
	static const char start[] = "$TTL 60\n@ SOA ns.other. host.other. 7 1800 900 604800 60\n@ NS ns.other.\n"
		"@ DNAME target.other.\nhidden TXT x\n";
	static const char *const chains[] = {
		"@ NSEC @ NS SOA DNAME NSEC\n",
		"@ NSEC3PARAM 1 0 0 -\n" HASH " NSEC3 1 0 0 - " HASH " NS SOA DNAME NSEC3PARAM\n",
		/* The same owner as a name that has data: hidden like others. */
		"@ NSEC3PARAM 1 0 0 -\n" HASH " NSEC3 1 0 0 - " HASH " NS SOA DNAME NSEC3PARAM\n" HASH " TXT x\n"
		"x." HASH " TXT x\n",
	};
	static const char *const below[] = { "hidden", "x", HASH, BELOW_HASH, "x.y" };
	char zone[1024], name[256], want[256];

	for (unsigned i = 0; i < 3; i++) {
		strcat(strcpy(zone, start), chains[i]);
		lab_put(&lab, "example.", zone);
		expect("example.", TYPE_A, i ? "NOERROR aa; ns @ SOA; ns " HASH ". NSEC3" :
					       "NOERROR aa; ns @ SOA; ns @ NSEC example.");
		for (unsigned k = 0; k < 5; k++) {
			snprintf(name, sizeof(name), "%s.example.", below[k]);
			snprintf(want, sizeof(want), "NOERROR aa; an @ DNAME; an %s. CNAME", below[k]);
			expect(name, TYPE_TXT, want);
			expect(name, TYPE_NSEC3, want);
			expect(name, TYPE_DS, want);
		}
	}
#undef BELOW_HASH
#undef HASH
}

/* A chain that would cost more than the operator allows is not served, the zone is; nor are
 * its owners names (RFC 5155 section 7.2.8). */
Test(dnssec, iterations, .init = open_lab)
{
	db_nsec3_limit(lab.db, 11);
	lab_put_file(&lab, "rfc5155");
	expect("nothing.example.", TYPE_A, "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA");
	expect("ai.example.", TYPE_A, "NOERROR aa; an ai. A; an ai. RRSIG A");
	expect("0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example.", TYPE_NSEC3, "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA");
	expect("mc.a.example.", TYPE_A, "NOERROR; ns a. NS; ns a. NS; ns a. DS; ns a. RRSIG DS; ar ns1.a. A; ar ns2.a. A");
	db_nsec3_limit(lab.db, 12);
	lab_put_file(&lab, "rfc5155");
	cr_assert(strstr(ask("nothing.example.", TYPE_A, true), " NSEC3 "));
}

/* Of several chains a closed one is served, wherever its NSEC3PARAM stands; one for servers
 * only in future (flags) never is (RFC 5155 sections 4.1.2 and 7.3). */
Test(dnssec, several_chains, .init = open_lab)
{
	static const char want[] = "NXDOMAIN aa; ns @ SOA; ns @ RRSIG SOA; "
		"ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. NSEC3; ns 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom. RRSIG NSEC3; ";
	static const char *const more[] = { "@ 0 NSEC3PARAM 1 0 0 -\n", "@ 0 NSEC3PARAM 1 0 99 ffff\n",
		"@ 0 NSEC3PARAM 1 0 0 -\nai NSEC3 1 0 0 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom A\n",
		"@ 0 NSEC3PARAM 1 1 0 -\n", "@ 0 NSEC3PARAM 9 0 0 -\n" };

	for (unsigned i = 0; i < 5; i++) {
		lab_put_file_and(&lab, "rfc5155", more[i]);
		const char *got = brief(ask("nothing.example.", TYPE_A, true));

		cr_expect_eq(strncmp(got, want, strlen(want)), 0, "%u: %s", i, got);
	}
}
