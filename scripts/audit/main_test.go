package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"contactcenter/shared/audit/chain"
)

// pages gives a chain of three events as two answers of the list, newest first, and their hashes.
func pages(t *testing.T) (answers string, hashes []string) {
	t.Helper()
	list := []chain.Record{{"id": "aud_0", "action": "thing.changed", "actor": map[string]any{"kind": "user"}}} // older than the chain
	previous := chain.Start
	for i := range 3 {
		r := chain.Record{"id": fmt.Sprint("aud_", i+1), "action": "thing.changed", "actor": map[string]any{"kind": "user"}, chain.Sequence: i + 1, chain.PreviousHash: previous}
		var err error
		if previous, err = chain.Hash(r); err != nil {
			t.Fatal(err)
		}
		r[chain.HashMember] = previous
		list, hashes = append(list, r), append(hashes, previous)
	}
	for _, items := range [][]chain.Record{{list[3], list[2]}, {list[1], list[0]}} {
		b, err := json.Marshal(map[string]any{"items": items, "next_page_token": "x"})
		if err != nil {
			t.Fatal(err)
		}
		answers += string(b) + "\n"
	}
	return answers, hashes
}

// an auditor verifies from listed events alone, and against what was written down before.
func TestAnAuditorVerifiesOffline(t *testing.T) {
	t.Parallel()
	all, hashes := pages(t)
	newest, _, _ := strings.Cut(all, "\n")
	cases := map[string]struct {
		in     string
		args   []string
		says   string
		broken bool
	}{
		"all":                      {all, nil, "3 events in order, 1 to 3, head " + hashes[2] + "; 1 are older than the chain\n", false},
		"with a head from before":  {all, []string{"-to", "2", "-head", hashes[1]}, "3 events in order", false},
		"with another head":        {all, []string{"-to", "2", "-head", hashes[2]}, "then event 2 (aud_2) is replaced\n", true},
		"with a head that is gone": {all, []string{"-to", "4", "-head", hashes[2]}, "then event 4 () is missing\n", true},
		"the newest alone":         {newest, nil, "0 events in order\nthen event 1 () is missing\n", true},
		"after one":                {newest, []string{"-after", "1", "-hash", hashes[0]}, "2 events in order, 2 to 3", false},
		"one changed":              {strings.Replace(all, "thing", "other", 1), nil, "is changed\n", true},
	}
	for name, c := range cases {
		var out strings.Builder
		err := run(c.args, strings.NewReader(c.in), &out)
		if errors.Is(err, errBroken) != c.broken || err != nil && !c.broken || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %q, %v", name, out.String(), err)
		}
	}
	for _, args := range [][]string{{"-to", "2"}, {"-hash", "x"}, {"-x"}} {
		if err := run(args, strings.NewReader(all), new(strings.Builder)); err == nil || errors.Is(err, errBroken) {
			t.Errorf("%v: %v", args, err)
		}
	}
	if err := run(nil, strings.NewReader("{"), new(strings.Builder)); err == nil {
		t.Error("half a page is read")
	}
}
