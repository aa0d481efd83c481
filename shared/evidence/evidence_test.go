package evidence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"contactcenter/shared/audit/chain"
	"contactcenter/shared/evidence"
	"contactcenter/shared/sign"
	"contactcenter/shared/sign/signtest"
)

var start = time.Date(2026, 11, 24, 10, 0, 0, 5_600_000, time.UTC)

// parts are a bundle of two, as change leaves them.
func parts(t *testing.T, change func(first, last *evidence.Part)) []string {
	t.Helper()
	first := evidence.Part{
		BundleID: "evb_1", Part: 1, AccountID: "acct_1", RecipientID: "rcp_1", GeneratedAt: evidence.At(start), SignedAt: evidence.At(start),
		Period:    &evidence.Period{From: evidence.At(start.Add(-time.Hour)), To: evidence.At(start.Add(time.Hour))},
		Recipient: &evidence.Recipient{Addresses: []string{"+35799123456"}},
		Messages:  []evidence.Message{{ID: "msg_1", Address: "+35799123456", CreatedAt: evidence.At(start.Add(-time.Minute))}},
	}
	last := first
	last.Part, last.Last, last.Recipient, last.Messages, last.Totals = 2, true, nil, nil, &evidence.Totals{Messages: 1, AuditEvents: 1}
	last.AuditEvents = []chain.Record{{"id": "aud_1", "account_id": "acct_1"}}
	if change != nil {
		change(&first, &last)
	}
	one, err := first.Sign(signtest.Key("a"))
	if err != nil {
		t.Fatal(err)
	}
	if last.PreviousSHA256 == "" {
		last.PreviousSHA256 = sign.Hash(one)
	}
	two, err := last.Sign(signtest.Key("a"))
	if err != nil {
		t.Fatal(err)
	}
	return []string{one, two}
}

// a bundle whose parts are signed is believed only if it is whole and does not contradict itself.
func TestABundleIsVerifiedAsAWhole(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(first, last *evidence.Part)
		want   error
	}{
		"as it is":                          {nil, nil},
		"of another account":                {func(_, last *evidence.Part) { last.AccountID = "acct_2" }, evidence.ErrParts},
		"of another recipient":              {func(_, last *evidence.Part) { last.RecipientID = "rcp_2" }, evidence.ErrParts},
		"of another bundle":                 {func(_, last *evidence.Part) { last.BundleID = "evb_2" }, evidence.ErrParts},
		"of another request":                {func(_, last *evidence.Part) { last.EvidenceRequestID = "evr_2" }, evidence.ErrParts},
		"of another period":                 {func(_, last *evidence.Part) { last.Period = nil }, evidence.ErrParts},
		"behind another part":               {func(_, last *evidence.Part) { last.PreviousSHA256 = strings.Repeat("0", 64) }, evidence.ErrParts},
		"behind the last":                   {func(first, _ *evidence.Part) { first.Last, first.Totals = true, &evidence.Totals{} }, evidence.ErrParts},
		"without an end":                    {func(_, last *evidence.Part) { last.Last = false }, evidence.ErrIncomplete},
		"without totals":                    {func(_, last *evidence.Part) { last.Totals = nil }, evidence.ErrIncomplete},
		"with a beginning that is missing":  {func(first, _ *evidence.Part) { first.Part = 2 }, evidence.ErrIncomplete},
		"without its recipient":             {func(first, _ *evidence.Part) { first.Recipient = nil }, evidence.ErrContent},
		"with a message too few":            {func(_, last *evidence.Part) { last.Totals.Messages = 2 }, evidence.ErrContent},
		"with another account's event":      {func(_, last *evidence.Part) { last.AuditEvents[0]["account_id"] = "acct_2" }, evidence.ErrContent},
		"with a message to somebody else":   {func(first, _ *evidence.Part) { first.Messages[0].Address = "x" }, evidence.ErrContent},
		"with a message from later":         {func(first, _ *evidence.Part) { first.Messages[0].CreatedAt = evidence.At(start.Add(time.Minute)) }, evidence.ErrContent},
		"with a message before its period":  {func(first, _ *evidence.Part) { first.Messages[0].CreatedAt = evidence.At(start.Add(-2 * time.Hour)) }, evidence.ErrContent},
		"with a message that comes again":   {func(first, last *evidence.Part) { last.Messages, last.Totals.Messages = first.Messages, 2 }, evidence.ErrContent},
		"with an event that is counted not": {func(_, last *evidence.Part) { last.Totals.AuditEvents = 0 }, evidence.ErrContent},
	}
	for name, c := range cases {
		got, err := evidence.VerifyBundle(signtest.Keys("a"), parts(t, c.change)...)
		if !errors.Is(err, c.want) || err == nil && len(got) != 2 {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// audit events in a bundle are those of the account's chain.
func TestAuditEventsOfABundleFitTheirChain(t *testing.T) {
	t.Parallel()
	link := func(sequence int, previous string) chain.Record {
		r := chain.Record{"id": fmt.Sprint("aud_", sequence), "account_id": "acct_1", "action": "x", "sequence": float64(sequence), "previous_hash": previous}
		hash, err := chain.Hash(r)
		if err != nil {
			t.Fatal(err)
		}
		r["hash"] = hash
		return r
	}
	one := link(1, chain.Start)
	two := link(2, one["hash"].(string))
	four := link(4, strings.Repeat("1", 64))
	head := &evidence.Head{Sequence: 4, Hash: four["hash"].(string)}
	second := chain.Record{"id": "aud_other", "account_id": "acct_1", "sequence": float64(1), "previous_hash": chain.Start}
	hash, err := chain.Hash(second)
	if err != nil {
		t.Fatal(err)
	}
	second["hash"] = hash
	changed := maps.Clone(two)
	changed["action"] = "y"
	cases := map[string]struct {
		head   *evidence.Head
		events []chain.Record
		fits   bool
	}{
		"some of the chain":        {head, []chain.Record{four, two, one}, true},
		"one from before it":       {head, []chain.Record{two, {"id": "aud_0", "account_id": "acct_1"}}, true},
		"one that was changed":     {head, []chain.Record{changed, one}, false},
		"one behind another":       {head, []chain.Record{link(2, strings.Repeat("2", 64)), one}, false},
		"two of one place":         {head, []chain.Record{one, second}, false},
		"one behind the end":       {&evidence.Head{Sequence: 2, Hash: two["hash"].(string)}, []chain.Record{four}, false},
		"another end":              {&evidence.Head{Sequence: 4, Hash: one["hash"].(string)}, []chain.Record{four}, false},
		"a chain that has no end":  {nil, []chain.Record{one}, false},
		"no chain, and no events":  {nil, nil, true},
		"a chain of other matters": {head, nil, true},
	}
	for name, c := range cases {
		_, err := evidence.VerifyBundle(signtest.Keys("a"), parts(t, func(first, last *evidence.Part) {
			first.AuditHead, last.AuditEvents, last.Totals.AuditEvents = c.head, c.events, len(c.events)
		})...)
		if (err == nil) != c.fits || err != nil && !errors.Is(err, evidence.ErrChain) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// certificates are verified, each for what it is.
func TestACertificateIsVerifiedForWhatItIs(t *testing.T) {
	t.Parallel()
	erasure, err := evidence.Erasure{AccountID: "acct_1", ErasureID: "ers_1", RequestedAt: evidence.At(start), CompletedAt: evidence.At(start), Erased: evidence.ErasureCounts{Messages: 3}}.Sign(signtest.Key("a"))
	if err != nil {
		t.Fatal(err)
	}
	closure, err := evidence.Closure{AccountID: "acct_1", PurgedAt: evidence.At(start)}.Sign(signtest.Key("a"))
	if err != nil {
		t.Fatal(err)
	}
	keys := signtest.Keys("a")
	if e, err := evidence.VerifyErasure(keys, erasure); err != nil || e.ErasureID != "ers_1" || e.Erased.Messages != 3 || len(e.Kept) == 0 {
		t.Errorf("%+v, %v", e, err)
	}
	if c, err := evidence.VerifyClosure(keys, closure); err != nil || c.AccountID != "acct_1" || c.ConfirmedAt != nil || len(c.Kept) == 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := evidence.VerifyClosure(keys, erasure); !errors.Is(err, sign.ErrType) {
		t.Errorf("an erasure for a closing: %v", err)
	}
	if _, err := evidence.VerifyBundle(keys, erasure); !errors.Is(err, sign.ErrType) {
		t.Errorf("an erasure for a bundle: %v", err)
	}
	if _, err := evidence.VerifyErasure(signtest.Keys("b"), erasure); !errors.Is(err, sign.ErrKey) {
		t.Errorf("with other keys: %v", err)
	}
	newer, err := signtest.Key("a").Sign(evidence.ErasureType, []byte(`{"format":2}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.VerifyErasure(keys, newer); !errors.Is(err, evidence.ErrFormat) {
		t.Errorf("of a newer format: %v", err)
	}
}

func TestTimesHaveMilliseconds(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(evidence.At(start.Truncate(time.Second)))
	if err != nil || string(b) != `"2026-11-24T10:00:00.000Z"` {
		t.Errorf("%s, %v", b, err)
	}
}
