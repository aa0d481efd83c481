package audit_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/chain"
	"contactcenter/shared/id"
)

const (
	ofAccount = "account#acct_1"
	places    = "chain#account#acct_1"
)

// chained gives a world with n events of acct_1, every other one an act of the operator.
func chained(t *testing.T, n int) *world {
	t.Helper()
	w := newWorld(t)
	for i := range n {
		e := act("acct_1", fmt.Sprint("t", i))
		e.RequestID, e.SourceIP, e.Reason, e.RulesVersion, e.InstructionID = "req_1", "192.0.2.1", "asked for it", "2026-11-01", "ins_1"
		e.Before, e.After = map[string]any{"limit": 10}, map[string]any{"limit": 20, "ids": []string{"a", "b"}}
		if i%2 == 1 {
			e.Actor, e.ComplaintID = audit.Actor{Kind: audit.Operator, ID: "op_1"}, "cmp_1"
		}
		if err := w.log.Write(t.Context(), e, w.put(e.Target)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) verify(t *testing.T, accountID string) audit.Verification {
	t.Helper()
	v, err := w.log.Verify(t.Context(), accountID, "")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// items gives a partition, oldest first.
func (w *world) items(t *testing.T, pk string) []attr.Item {
	t.Helper()
	out, err := w.DynamoDB.Query(t.Context(), &dynamodb.QueryInput{
		TableName: &w.log.Table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("#pk = :pk"),
		ExpressionAttributeNames: map[string]string{"#pk": "pk"}, ExpressionAttributeValues: attr.Item{":pk": attr.String(pk)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Items
}

func (w *world) replace(t *testing.T, it attr.Item) {
	t.Helper()
	if _, err := w.DynamoDB.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &w.log.Table, Item: it}); err != nil {
		t.Fatal(err)
	}
}

func (w *world) remove(t *testing.T, it attr.Item) {
	t.Helper()
	if _, err := w.DynamoDB.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &w.log.Table, Key: attr.Item{"pk": it["pk"], "sk": it["sk"]}}); err != nil {
		t.Fatal(err)
	}
}

// every act of an account is a link of its chain, and so are the operator's own; the accounts' chains are apart.
func TestEventsAreAChainForEachAccount(t *testing.T) {
	t.Parallel()
	w := chained(t, 5)
	for i := range 3 {
		if err := w.log.Write(t.Context(), audit.Event{Actor: audit.Actor{Kind: audit.Operator, ID: "op_1"}, Action: "plan.changed", Target: fmt.Sprint("p", i)}); err != nil {
			t.Fatal(err)
		}
	}
	list := w.of(t, "acct_1")
	slices.Reverse(list)
	previous := chain.Start
	for i, e := range list {
		if e.Sequence != int64(i+1) || e.PreviousHash != previous || len(e.Hash) != 64 || (e.WithheldHash != "") != (i%2 == 1) {
			t.Errorf("event %d: %+v", i, e)
		}
		previous = e.Hash
	}
	if v := w.verify(t, "acct_1"); !v.Verified || v.Events != 5 || v.From != 1 || v.To != 5 || v.HeadHash != previous || v.Unchained != 0 || v.Next != "" {
		t.Errorf("the account's: %+v", v)
	}
	if v := w.verify(t, ""); !v.Verified || v.Events != 3 || v.To != 3 {
		t.Errorf("the operator's own: %+v", v)
	}
	if v := w.verify(t, "acct_2"); !v.Verified || v.Events != 0 || v.HeadHash != "" {
		t.Errorf("an account without events: %+v", v)
	}
	records := make([]chain.Record, len(list))
	for i, e := range list {
		records[i] = e.Record()
	}
	if got := chain.Verify(records, chain.Link{}, chain.Link{Sequence: 5, ID: list[4].ID, Hash: previous}); !got.Verified || got.Events != 5 {
		t.Errorf("from the listed events alone: %+v", got)
	}
}

// tampering with one event is found, and named, whatever attribute it is and whatever was done to it.
func TestTamperingWithAnEventIsFound(t *testing.T) {
	t.Parallel()
	w := chained(t, 4)
	w.clock.Pass(time.Minute)
	for n, it := range w.items(t, ofAccount)[1:3] {
		for _, name := range slices.Sorted(maps.Keys(it)) {
			if name == "pk" || name == "sk" {
				continue // then it is removed, and another is there
			}
			for how, to := range map[string]types.AttributeValue{"removed": nil, "another": another(t, it[name]), "of another type": &types.AttributeValueMemberBOOL{Value: true}} {
				if (name == "gk" || name == "gs") && how == "of another type" {
					continue // no index takes it
				}
				bad := maps.Clone(it)
				if bad[name] = to; to == nil {
					delete(bad, name)
				}
				w.replace(t, bad)
				w.finds(t, fmt.Sprint(name, " ", how), attr.Text(it, "sk"), int64(n+2), chain.Changed)
				w.replace(t, it)
			}
		}
		bad := maps.Clone(it)
		bad["note"] = attr.String("x")
		w.replace(t, bad)
		w.finds(t, "something added", attr.Text(it, "sk"), int64(n+2), chain.Changed)
		w.replace(t, it)
	}
	if v := w.verify(t, "acct_1"); !v.Verified || v.Events != 4 {
		t.Errorf("with everything put back: %+v", v)
	}
}

// finds expects a verification that fails at an event.
func (w *world) finds(t *testing.T, what, eventID string, sequence int64, why string) {
	t.Helper()
	v := w.verify(t, "acct_1")
	if v.Verified || v.FirstBroken == nil || v.FirstBroken.ID != eventID || v.FirstBroken.Sequence != sequence || v.FirstBroken.Why != why || v.Next != "" {
		t.Errorf("%s: %+v, first broken %+v, want %s at %d, %s", what, v, v.FirstBroken, eventID, sequence, why)
	}
}

func another(t *testing.T, v types.AttributeValue) types.AttributeValue {
	t.Helper()
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		if strings.HasPrefix(v.Value, "{") {
			return attr.String(`{"limit":11}`)
		}
		return attr.String(v.Value + "x")
	case *types.AttributeValueMemberN:
		return &types.AttributeValueMemberN{Value: v.Value + "1"}
	case *types.AttributeValueMemberB:
		b := slices.Clone(v.Value)
		b[0] ^= 1
		return &types.AttributeValueMemberB{Value: b}
	}
	t.Fatalf("an attribute of type %T", v)
	return nil
}

// an event that is removed, swapped, cut off, inserted, or moved to another place is found, and named.
func TestTamperingWithTheOrderIsFound(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		do       func(w *world, events, places []attr.Item)
		n        int // which event is found, from 0
		sequence int64
		why      string
	}{
		"one removed":        {func(w *world, e, _ []attr.Item) { w.remove(t, e[1]) }, 1, 2, chain.Missing},
		"the first removed":  {func(w *world, e, _ []attr.Item) { w.remove(t, e[0]) }, 0, 1, chain.Missing},
		"the newest cut off": {func(w *world, e, _ []attr.Item) { w.remove(t, e[3]) }, 3, 4, chain.Missing},
		"two cut off":        {func(w *world, e, _ []attr.Item) { w.remove(t, e[3]); w.remove(t, e[2]) }, 2, 3, chain.Missing},
		"all removed": {func(w *world, e, _ []attr.Item) {
			for _, it := range e {
				w.remove(t, it)
			}
		}, 0, 1, chain.Missing},
		"two swapped": {func(w *world, e, _ []attr.Item) { w.swap(t, e[1], e[2]) }, 1, 2, chain.Changed},
		"two swapped, with their places": {func(w *world, e, p []attr.Item) {
			w.swap(t, e[1], e[2])
			w.swap(t, p[1], p[2])
		}, 1, 3, chain.Unplaced},
		"an old one inserted": {func(w *world, e, _ []attr.Item) {
			w.replace(t, attr.Item{"pk": e[1]["pk"], "sk": attr.String(attr.Text(e[1], "sk") + "0"), "at": e[1]["at"], "action": attr.String("x")})
		}, -1, 0, chain.Unplaced},
		"a copy inserted": {func(w *world, e, _ []attr.Item) {
			copied := maps.Clone(e[1])
			copied["sk"] = attr.String(attr.Text(e[1], "sk") + "0")
			w.replace(t, copied)
		}, -1, 2, chain.Unplaced},
		"one added at the end": {func(w *world, e, _ []attr.Item) {
			copied := maps.Clone(e[3])
			copied["sk"], copied["sequence"] = attr.String(attr.Text(e[3], "sk")+"0"), attr.Int(5)
			w.replace(t, copied)
		}, -3, 5, chain.Unplaced},
		"a place removed":            {func(w *world, _, p []attr.Item) { w.remove(t, p[1]) }, 1, 2, chain.Unplaced},
		"the last place":             {func(w *world, _, p []attr.Item) { w.remove(t, p[3]) }, 3, 4, chain.Unplaced},
		"the hash of a place":        {func(w *world, _, p []attr.Item) { p[1]["hash"] = p[2]["hash"]; w.replace(t, p[1]) }, 1, 2, chain.Replaced},
		"a place renumbered":         {func(w *world, _, p []attr.Item) { w.remove(t, p[3]); p[3]["sk"] = attr.String("x"); w.replace(t, p[3]) }, 3, 4, chain.Replaced},
		"one removed with its place": {func(w *world, e, p []attr.Item) { w.remove(t, e[1]); w.remove(t, p[1]) }, -2, 2, chain.Missing},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := chained(t, 4)
			events, places := w.items(t, ofAccount), w.items(t, places)
			eventID := ""
			switch {
			case c.n >= 0:
				eventID = attr.Text(events[c.n], "sk")
			case c.n == -1:
				eventID = attr.Text(events[1], "sk") + "0"
			case c.n == -3:
				eventID = attr.Text(events[3], "sk") + "0"
			}
			c.do(w, events, places)
			w.finds(t, name, eventID, c.sequence, c.why)
		})
	}
}

// swap writes each of two items under the other's key.
func (w *world) swap(t *testing.T, a, b attr.Item) {
	t.Helper()
	a, b = maps.Clone(a), maps.Clone(b)
	a["sk"], b["sk"] = b["sk"], a["sk"]
	w.replace(t, a)
	w.replace(t, b)
}

// events that are older than the chain stay readable, and a check says how many they are; none can be added later.
func TestAChainBeginsWhereOlderEventsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	older := func(at time.Time) attr.Item {
		eventID, err := id.Source{Now: func() time.Time { return at }, Random: rand.Reader}.New(id.AuditPrefix)
		if err != nil {
			t.Fatal(err)
		}
		return attr.Item{
			"pk": attr.String(ofAccount), "sk": attr.String(eventID), "gk": attr.String("s0"), "gs": attr.String(eventID), "at": attr.Time(at),
			"account_id": attr.String("acct_1"), "actor_kind": attr.String("operator"), "actor_id": attr.String("op_1"), "action": attr.String("thing.changed"),
			"target": attr.String("old"), "after": attr.String(`{"limit":1}`), "complaint_id": attr.String("cmp_1"),
		}
	}
	for i := range 3 {
		w.replace(t, older(w.clock.Now().Add(time.Duration(i-10)*time.Second)))
	}
	if v := w.verify(t, "acct_1"); !v.Verified || v.Events != 0 || v.Unchained != 3 {
		t.Errorf("before the chain begins: %+v", v)
	}
	for i := range 2 {
		if err := w.log.Write(t.Context(), act("acct_1", fmt.Sprint("t", i))); err != nil {
			t.Fatal(err)
		}
	}
	if v := w.verify(t, "acct_1"); !v.Verified || v.Events != 2 || v.From != 1 || v.To != 2 || v.Unchained != 3 {
		t.Errorf("after it began: %+v", v)
	}
	list := w.of(t, "acct_1")
	if len(list) != 5 || list[4].Sequence != 0 || list[4].Hash != "" || list[4].Target != "old" || list[4].WithheldHash != "" {
		t.Errorf("the list: %+v", list)
	}
	late := older(w.clock.Now().Add(time.Second))
	w.replace(t, late)
	w.finds(t, "one that claims to be older", attr.Text(late, "sk"), 0, chain.Unplaced)
}

// acts of one account at the same moment all succeed, and their events are one unbroken chain; so do the acts of two
// functions whose clocks differ.
func TestActsAtTheSameMomentAreAnUnbrokenChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const writers, each = 20, 5
	var wg sync.WaitGroup
	failed := make(chan error, writers*each)
	for i := range writers {
		behind := time.Duration(i%3) * time.Hour
		now := func() time.Time { return w.clock.Now().Add(-behind) }
		log := &audit.Log{DB: w.DynamoDB, Table: w.log.Table, IDs: id.Source{Now: now, Random: rand.Reader}, Now: now}
		wg.Go(func() {
			for n := range each {
				name := fmt.Sprintf("t%02d-%d", i, n)
				failed <- log.Write(t.Context(), act("acct_1", name), w.put(name))
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
	v := w.verify(t, "acct_1")
	if !v.Verified || v.Events != writers*each || v.To != writers*each {
		t.Errorf("%+v, first broken %+v", v, v.FirstBroken)
	}
	list, _, err := w.log.Of(t.Context(), "acct_1", attr.Page{Size: 200})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(list, func(a, b audit.Event) int { return cmp.Compare(b.Sequence, a.Sequence) }) {
		t.Error("the list is not in the order of the chain")
	}
}

// of many acts that all want the same, one succeeds, and the others are refused by their own condition, not by the chain.
func TestOfTheSameActAtTheSameMomentOneSucceeds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const writers = 20
	var wg sync.WaitGroup
	results := make([]error, writers)
	for i := range writers {
		wg.Go(func() {
			results[i] = w.log.Write(t.Context(), act("acct_1", "same"), w.put(fmt.Sprint("own", i)), w.put("same"))
		})
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		r := audit.AsRefused(err)
		switch {
		case err == nil:
			won++
		case r == nil || r.Index != 1 || attr.Text(r.Item, "by") != "somebody":
			t.Errorf("%v", err)
		}
	}
	if v := w.verify(t, "acct_1"); won != 1 || !v.Verified || v.Events != 1 {
		t.Errorf("%d succeeded: %+v", won, v)
	}
}

// a long chain is verified in parts of bounded work, also while it grows.
func TestALongChainIsVerifiedInParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = audit.VerifyMost + 20
	for i := range n {
		if err := w.log.Write(t.Context(), act("acct_1", fmt.Sprint("t", i))); err != nil {
			t.Fatal(err)
		}
	}
	first := w.verify(t, "acct_1")
	if !first.Verified || first.Events != audit.VerifyMost || first.From != 1 || first.To != audit.VerifyMost || first.Next == "" {
		t.Fatalf("the first part: %+v, first broken %+v", first, first.FirstBroken)
	}
	second, err := w.log.Verify(t.Context(), "acct_1", first.Next)
	if err != nil || !second.Verified || second.From != audit.VerifyMost+1 || second.To != n || second.Next != "" {
		t.Fatalf("the second: %+v, %v", second, err)
	}
	for name, token := range map[string]string{"nonsense": "x", "of a list": mustToken(t, attr.Item{"pk": attr.String(ofAccount), "sk": attr.String("aud_1")})} {
		if _, err := w.log.Verify(t.Context(), "acct_1", token); !errors.Is(err, attr.ErrToken) {
			t.Errorf("a token that is %s: %v", name, err)
		}
	}
	if _, err := w.log.Verify(t.Context(), "acct_2", first.Next); !errors.Is(err, attr.ErrToken) {
		t.Errorf("another account's token: %v", err)
	}
	w.remove(t, w.items(t, ofAccount)[n-1])
	third, err := w.log.Verify(t.Context(), "acct_1", first.Next)
	if err != nil || third.Verified || third.FirstBroken.Sequence != n || third.FirstBroken.Why != chain.Missing {
		t.Errorf("with the newest cut off: %+v, %v", third, err)
	}
}

func mustToken(t *testing.T, it attr.Item) string {
	t.Helper()
	token, err := attr.Token(it)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// between adds an event between the queries of a check.
type between struct {
	audit.DynamoDB
	add func()
}

func (b *between) Query(ctx context.Context, in *dynamodb.QueryInput, opts ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	out, err := b.DynamoDB.Query(ctx, in, opts...)
	b.add()
	return out, err
}

// who acts while the chain is verified does not break it.
func TestActsDuringAVerificationDoNotBreakIt(t *testing.T) {
	t.Parallel()
	w := chained(t, 3)
	added := 0
	reader := *w.log
	reader.DB = &between{w.DynamoDB, func() {
		added++
		if err := w.log.Write(t.Context(), act("acct_1", fmt.Sprint("more", added))); err != nil {
			t.Error(err)
		}
	}}
	v, err := reader.Verify(t.Context(), "acct_1", "")
	if err != nil || !v.Verified || v.Events < 3 || added < 2 || added > 3 {
		t.Errorf("%+v, %v, %d added", v, err, added)
	}
}
