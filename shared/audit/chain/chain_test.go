package chain_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"contactcenter/shared/audit/chain"
)

// the form that is hashed is that of RFC 8785, so any library that knows it comes to the same hash.
func TestTheCanonicalFormIsThatOfTheStandard(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ in, want string }{
		"the example of the standard": {
			`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		"names sort by their UTF-16 code units": {
			`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`,
			"{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}",
		},
		"numbers as ECMAScript writes them": {
			`[0,-0.0,5e-324,1.7976931348623157e308,9007199254740992,295147905179352830000,9.999999999999997e22,1e23,999999999999999700000,1e21,9.999999999999997e-7,0.000001,-0.0000033333333333333333,1e-9]`,
			`[0,0,5e-324,1.7976931348623157e+308,9007199254740992,295147905179352830000,9.999999999999997e+22,1e+23,999999999999999700000,1e+21,9.999999999999997e-7,0.000001,-0.0000033333333333333333,1e-9]`,
		},
		"nothing is escaped that need not be": {`"<&>\u2028\u007f\b\f\t"`, "\"<&>\u2028\u007f\\b\\f\\t\""},
		"empty":                               {` { "a" : [ ] , "b" : { } , "" : "" } `, `{"":"","a":[],"b":{}}`},
	}
	for name, c := range cases {
		var v any
		if err := json.Unmarshal([]byte(c.in), &v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := chain.Canonical(v)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, c.want)
		}
	}
	if got, err := chain.Canonical([]any{json.Number("1e3"), int64(7), 8}); err != nil || string(got) != "[1000,7,8]" {
		t.Errorf("numbers of other kinds: %s, %v", got, err)
	}
	for name, v := range map[string]any{"a function": func() {}, "a number that is too large": json.Number("1e999"), "inside": []any{map[string]any{"x": 1 + 2i}}} {
		if got, err := chain.Canonical(v); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// events gives the records of a chain, as they are listed to the operator: every other one is an act of the operator.
func events(t *testing.T, n int) []chain.Record {
	t.Helper()
	list := make([]chain.Record, n)
	previous := chain.Start
	for i := range list {
		r := chain.Record{
			"id": fmt.Sprintf("aud_%016d", i), "at": "2026-11-24T10:00:00.000Z", "account_id": "acct_1", "action": "thing.changed", "target": fmt.Sprint("t", i),
			"actor": map[string]any{"kind": "user", "id": "user_1", "account_id": "acct_1"}, "request_id": "req_1", "source_ip": "192.0.2.1",
			"after": map[string]any{"limit": 10.5}, chain.Sequence: float64(i + 1), chain.PreviousHash: previous,
		}
		if i%2 == 1 {
			r["actor"] = map[string]any{"kind": "operator", "id": "op_1"}
			r["complaint_id"], r["after"] = "cmp_1", map[string]any{"limit": 5.0, "complaint_id": "cmp_1"}
			r[chain.WithheldSalt] = strings.Repeat(fmt.Sprint(i), 32)
			r[chain.WithheldHash] = must(t)(chain.HashWithheld(r))
		}
		previous = must(t)(chain.Hash(r))
		r[chain.HashMember] = previous
		list[i] = r
	}
	return list
}

func must(t *testing.T) func(string, error) string {
	return func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// asShown gives a record as the account is shown it.
func asShown(r chain.Record) chain.Record {
	shown, _ := chain.Withhold(r)
	shown[chain.HashMember] = r[chain.HashMember]
	if h, ok := r[chain.WithheldHash]; ok {
		shown[chain.WithheldHash] = h
	}
	return shown
}

func linkOf(r chain.Record) chain.Link {
	return chain.Link{Sequence: int64(r[chain.Sequence].(float64)), ID: r["id"].(string), Hash: r[chain.HashMember].(string)}
}

// who sees the whole and who sees what an account is shown verify the same chain, in whatever order it was listed, whole or in parts.
func TestAChainIsVerifiedByWhoSeesAllAndByWhoSeesAPart(t *testing.T) {
	t.Parallel()
	whole := events(t, 6)
	shown := make([]chain.Record, len(whole))
	for i, r := range whole {
		shown[i] = asShown(r)
	}
	if _, ok := shown[1]["complaint_id"]; ok || shown[1]["actor"].(map[string]any)["id"] != nil || shown[0]["request_id"] != "req_1" {
		t.Errorf("the account is shown %v and %v", shown[0], shown[1])
	}
	newestFirst := slices.Clone(shown)
	slices.Reverse(newestFirst)
	head := linkOf(whole[5])
	for name, list := range map[string][]chain.Record{"whole": whole, "as shown": shown, "newest first": newestFirst} {
		got := chain.Verify(list, chain.Link{}, head)
		if !got.Verified || got.Events != 6 || got.From != 1 || got.To != 6 || got.HeadHash != head.Hash || got.FirstBroken != nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := chain.Verify(whole[3:], linkOf(whole[2]), chain.Link{}); !got.Verified || got.Events != 3 || got.From != 4 || got.To != 6 {
		t.Errorf("a part: %+v", got)
	}
	if got := chain.Verify(nil, chain.Link{}, chain.Link{}); !got.Verified || got.Events != 0 || got.HeadHash != "" {
		t.Errorf("none: %+v", got)
	}
	older := chain.Record{"id": "aud_0", "action": "thing.changed"}
	if got := chain.Verify(append([]chain.Record{older}, whole...), chain.Link{}, chain.Link{}); !got.Verified || got.Unchained != 1 || got.Events != 6 {
		t.Errorf("with one that is older than the chain: %+v", got)
	}
}

// whatever is done to one event, verification fails and names the first that does not hold.
func TestWhatIsDoneToAnEventIsFound(t *testing.T) {
	t.Parallel()
	known := linkOf(events(t, 6)[5])
	cases := map[string]struct {
		do       func(list []chain.Record) []chain.Record
		id       string
		sequence int64
		why      string
	}{
		"one removed":        {func(l []chain.Record) []chain.Record { return slices.Delete(l, 2, 3) }, "", 3, chain.Missing},
		"the first removed":  {func(l []chain.Record) []chain.Record { return l[1:] }, "", 1, chain.Missing},
		"the newest cut off": {func(l []chain.Record) []chain.Record { return l[:5] }, known.ID, 6, chain.Missing},
		"the two newest":     {func(l []chain.Record) []chain.Record { return l[:4] }, "", 5, chain.Missing},
		"all removed":        {func([]chain.Record) []chain.Record { return nil }, "", 1, chain.Missing},
		"one twice":          {func(l []chain.Record) []chain.Record { return append(l, l[3]) }, "aud_0000000000000003", 4, chain.Unplaced},
		"two swapped": {func(l []chain.Record) []chain.Record {
			l[1]["target"], l[2]["target"] = l[2]["target"], l[1]["target"]
			return l
		}, "aud_0000000000000001", 2, chain.Changed},
		"two with their places swapped": {func(l []chain.Record) []chain.Record {
			l[1][chain.Sequence], l[2][chain.Sequence] = l[2][chain.Sequence], l[1][chain.Sequence]
			return l
		}, "aud_0000000000000002", 2, chain.Changed},
		"one inserted without a place": {func(l []chain.Record) []chain.Record {
			return append(l, chain.Record{"id": "aud_00000000000000021", "action": "thing.changed"})
		}, "aud_00000000000000021", 0, chain.Unplaced},
		"one changed and hashed anew": {func(l []chain.Record) []chain.Record {
			l[2]["target"] = "other"
			l[2][chain.HashMember] = must(t)(chain.Hash(l[2]))
			return l
		}, "aud_0000000000000003", 4, chain.Unlinked},
		"the newest changed and hashed anew": {func(l []chain.Record) []chain.Record {
			l[5]["target"] = "other"
			l[5][chain.WithheldHash] = must(t)(chain.HashWithheld(l[5]))
			l[5][chain.HashMember] = must(t)(chain.Hash(l[5]))
			return l
		}, known.ID, 6, chain.Replaced},
		"what is withheld changed": {func(l []chain.Record) []chain.Record {
			l[3]["complaint_id"] = "cmp_2"
			return l
		}, "aud_0000000000000003", 4, chain.Changed},
		"what is withheld changed, and its hash": {func(l []chain.Record) []chain.Record {
			l[3]["actor"].(map[string]any)["id"] = "op_2"
			l[3][chain.WithheldHash] = must(t)(chain.HashWithheld(l[3]))
			return l
		}, "aud_0000000000000003", 4, chain.Changed},
		"what is withheld given without its salt": {func(l []chain.Record) []chain.Record {
			delete(l[3], chain.WithheldSalt)
			return l
		}, "aud_0000000000000003", 4, chain.Changed},
		"something withheld added to what is shown": {func(l []chain.Record) []chain.Record {
			l[3] = asShown(l[3])
			l[3]["complaint_id"] = "cmp_1"
			return l
		}, "aud_0000000000000003", 4, chain.Changed},
	}
	for name := range events(t, 4)[3] {
		for _, i := range []int{2, 3} {
			if _, ok := events(t, 4)[i][name]; !ok {
				continue
			}
			c := cases["two swapped"]
			c.do, c.id, c.sequence = func(l []chain.Record) []chain.Record { delete(l[i], name); return l }, fmt.Sprintf("aud_%016d", i), int64(i+1)
			switch name {
			case "id":
				c.id = ""
			case chain.Sequence:
				c.sequence, c.why = 0, chain.Unplaced
			case chain.WithheldHash:
				continue // what it says follows from the rest, and who has the rest does not need it
			}
			cases[fmt.Sprint("without ", name, " ", i)] = c
		}
	}
	for name, c := range cases {
		got := chain.Verify(c.do(events(t, 6)), chain.Link{}, known)
		if want := (chain.Broken{ID: c.id, Sequence: c.sequence, Why: c.why}); got.Verified || got.FirstBroken == nil || *got.FirstBroken != want {
			t.Errorf("%s: %+v, first broken %+v, want %+v", name, got, got.FirstBroken, want)
		}
	}
}

// What is withheld can't be guessed from its hash: the same twice has two hashes.
func TestASaltKeepsWhatIsWithheldFromBeingGuessed(t *testing.T) {
	t.Parallel()
	a := events(t, 2)[1]
	b := maps.Clone(a)
	b[chain.WithheldSalt] = "another"
	if x, y := must(t)(chain.HashWithheld(a)), must(t)(chain.HashWithheld(b)); x == y || len(x) != 64 {
		t.Errorf("hashes %s and %s", x, y)
	}
}

// what docs/api.md tells an auditor to write is what ExampleVerify runs.
func TestTheDocumentShowsTheExample(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(doc), "<!-- verify.go -->\n```go\n")
	block, _, found := strings.Cut(block, "```")
	if !found || strings.Count(block, "\n") < 8 {
		t.Fatalf("the document has the example %q", block)
	}
	for line := range strings.Lines(block) {
		if line := strings.TrimSpace(strings.TrimPrefix(line, "import ")); !strings.Contains(string(example), line) {
			t.Errorf("the example does not have %q", line)
		}
	}
}
