//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// verification is what a check of the audit's chain found.
type verification struct {
	Verified    bool   `json:"verified"`
	Events      int    `json:"events"`
	Unchained   int    `json:"unchained"`
	From        int64  `json:"from"`
	To          int64  `json:"to"`
	HeadHash    string `json:"head_hash"`
	FirstBroken *struct {
		ID       string `json:"id"`
		Sequence int64  `json:"sequence"`
		Why      string `json:"why"`
	} `json:"first_broken"`
	NextPageToken string `json:"next_page_token"`
}

type item = map[string]types.AttributeValue

func attribute(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

// auditor checks the log of one account, as the operator, as the account, and offline.
type auditor struct {
	t        *testing.T
	s        *stack
	a        *account
	operator *caller
	program  string
	db       *dynamodb.Client
	table    string
}

func newAuditor(t *testing.T, s *stack, a *account) *auditor {
	t.Helper()
	x := &auditor{t: t, s: s, a: a, operator: s.operator(t), program: filepath.Join(t.TempDir(), "audit")}
	build := exec.Command("go", "build", "-o", x.program, "./scripts/audit")
	build.Dir = common.root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build scripts/audit: %v\n%s", err, out)
	}
	x.db, x.table = s.table(t, "AuditTable")
	return x
}

// verify gives what the operator finds, and expects the account to find the same.
func (x *auditor) verify() verification {
	x.t.Helper()
	theirs := decode[verification](x.t, x.operator.call(x.t, http.MethodGet, "/v1/operator/audit-events/verification?account_id="+x.a.id, nil), http.StatusOK)
	own := x.a.call(x.t, http.MethodGet, "/v1/audit-events/verification", nil)
	if again := decode[verification](x.t, own, http.StatusOK); fmt.Sprintf("%+v %+v", theirs.FirstBroken, theirs.HeadHash) != fmt.Sprintf("%+v %+v", again.FirstBroken, again.HeadHash) || theirs.Verified != again.Verified {
		x.t.Errorf("the operator finds %+v, the account %v", theirs, own)
	}
	return theirs
}

// offline runs scripts/audit on what a list shows, and gives what it says.
func (x *auditor) offline(c *caller, path string, known verification) (says string, whole bool) {
	x.t.Helper()
	var pages []byte
	for next := ""; ; {
		got := c.call(x.t, http.MethodGet, path+next, nil)
		pages = append(append(pages, got.body...), '\n')
		token := decode[list[json.RawMessage]](x.t, got, http.StatusOK).NextPageToken
		if token == "" {
			break
		}
		next = "&page_token=" + url.QueryEscape(token)
	}
	run := exec.Command(x.program, "-to", fmt.Sprint(known.To), "-head", known.HeadHash)
	run.Stdin = bytes.NewReader(pages)
	out, err := run.Output()
	return string(out), err == nil
}

func (x *auditor) put(it item) {
	x.t.Helper()
	if _, err := x.db.PutItem(x.t.Context(), &dynamodb.PutItemInput{TableName: &x.table, Item: it}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *auditor) remove(it item) {
	x.t.Helper()
	if _, err := x.db.DeleteItem(x.t.Context(), &dynamodb.DeleteItemInput{TableName: &x.table, Key: item{"pk": it["pk"], "sk": it["sk"]}}); err != nil {
		x.t.Fatal(err)
	}
}

// acts of an account at the same moment are one chain; whoever changes, removes, swaps, cuts off or slips in an event in the
// table is found out by the operator, by the account, and by an auditor who has nothing but the lists and a head that was written down.
func TestWhoeverTampersWithTheAuditIsFoundOut(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 10})
	x := newAuditor(t, s, a)
	var acts sync.WaitGroup
	for range 20 {
		acts.Go(func() {
			if got, err := a.try(http.MethodPost, "/v1/channels/"+ch.ID+"/activation-instructions", nil); err != nil || got.status != http.StatusCreated {
				t.Errorf("an act among twenty: %v, %v", got, err)
			}
		})
	}
	acts.Wait()
	known := x.verify()
	listed := pages[event](t, x.operator, "/v1/operator/audit-events?account_id="+a.id)
	if !known.Verified || known.Events != len(listed) || known.Events < 24 || known.From != 1 || known.To != int64(known.Events) || known.HeadHash != listed[0].Hash {
		t.Fatalf("%d events are listed, found is %+v", len(listed), known)
	}
	own, theirs := "/v1/audit-events?page_size=9", "/v1/operator/audit-events?page_size=9&account_id="+a.id
	for path, c := range map[string]*caller{own: a.caller, theirs: x.operator} {
		if says, whole := x.offline(c, path, known); !whole || !strings.HasPrefix(says, fmt.Sprintf("%d events in order, 1 to %d, head %s", known.Events, known.To, known.HeadHash)) {
			t.Errorf("offline, from %s: %s", path, says)
		}
	}

	var events []item
	for _, it := range s.scan(t, "AuditTable") {
		if written(it, "pk") == "account#"+a.id {
			events = append(events, it)
		}
	}
	slices.SortFunc(events, func(a, b item) int { return strings.Compare(written(a, "sk"), written(b, "sk")) })
	n := len(events)
	changed := func(at int, name, to string) item {
		it := maps.Clone(events[at])
		it[name] = attribute(to)
		return it
	}
	swapped, other := changed(3, "sk", written(events[4], "sk")), changed(4, "sk", written(events[3], "sk"))
	inserted := changed(3, "sk", written(events[3], "sk")+"0")
	for name, c := range map[string]struct {
		do, undo func()
		id       string
		why      string
	}{
		"who it was":  {func() { x.put(changed(4, "actor_id", "user_2")) }, func() { x.put(events[4]) }, written(events[4], "sk"), "changed"},
		"from where":  {func() { x.put(changed(n-1, "source_ip", "192.0.2.200")) }, func() { x.put(events[n-1]) }, written(events[n-1], "sk"), "changed"},
		"which Rules": {func() { x.put(changed(2, "rules_version", "older")) }, func() { x.put(events[2]) }, written(events[2], "sk"), "changed"},
		"removed":     {func() { x.remove(events[5]) }, func() { x.put(events[5]) }, written(events[5], "sk"), "missing"},
		"the newest":  {func() { x.remove(events[n-1]) }, func() { x.put(events[n-1]) }, written(events[n-1], "sk"), "missing"},
		"swapped":     {func() { x.put(swapped); x.put(other) }, func() { x.put(events[3]); x.put(events[4]) }, written(events[3], "sk"), "changed"},
		"slipped in":  {func() { x.put(inserted) }, func() { x.remove(inserted) }, written(inserted, "sk"), "unplaced"},
	} {
		c.do()
		if got := x.verify(); got.Verified || got.FirstBroken == nil || got.FirstBroken.ID != c.id || got.FirstBroken.Why != c.why {
			t.Errorf("%s: found %+v, first broken %+v, want %s %s", name, got, got.FirstBroken, c.id, c.why)
		}
		for path, c := range map[string]*caller{own: a.caller, theirs: x.operator} {
			if says, whole := x.offline(c, path, known); whole {
				t.Errorf("%s: offline, from %s: %s", name, path, says)
			}
		}
		c.undo()
	}
	if got := x.verify(); !got.Verified || got.HeadHash != known.HeadHash {
		t.Errorf("with everything put back: %+v", got)
	}
	if got := decode[verification](t, x.operator.call(t, http.MethodGet, "/v1/operator/audit-events/verification", nil), http.StatusOK); !got.Verified || got.Events == 0 {
		t.Errorf("the operator's own: %+v", got)
	}
}
