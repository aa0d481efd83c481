package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"contactcenter/shared/api/apitest"
	"contactcenter/shared/attr"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider/registry"
)

func newStore(t *testing.T, senders int) (*registry.Store, *apitest.Clock) {
	t.Helper()
	env := awstest.New(t)
	clock := apitest.NewClock(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	s := &registry.Store{DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.ChannelsTable()), Now: clock.Now, Audit: audittest.New(t, env)}
	for i := range senders {
		if _, err := s.PutSender(t.Context(), "edna", registry.Sender{ID: fmt.Sprint(1001 + i), Address: fmt.Sprintf("+3579900%d", 1001+i)}, audittest.ByOperator()); err != nil {
			t.Fatal(err)
		}
	}
	return s, clock
}

func entry(id string) registry.Entry {
	return registry.Entry{
		ID: id, Name: "n", LegalEntity: "l", Website: "https://example.com", Onboarding: registry.Native, ChannelTypes: []string{"whatsapp"},
		TransferCountries: []string{"CY"}, Documents: []registry.Document{{Title: "t", URL: "u"}}, TermsVersion: "1", Status: registry.Enabled,
		CredentialFields: []registry.CredentialField{{Name: "k", Kind: "secret"}},
	}
}

//
func TestTheSwitchIsSeenWithinSeconds(t *testing.T) {
	t.Parallel()
	s, clock := newStore(t, 0)
	if _, err := s.Put(t.Context(), entry("edna"), audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	other := &registry.Store{DB: s.DB, Table: s.Table, Now: clock.Now} // another container's
	want := func(what string, status registry.Status) {
		t.Helper()
		if e, err := other.Get(t.Context(), "edna"); err != nil || e.Status != status {
			t.Errorf("%s: status is %s, %v, want %s", what, e.Status, err, status)
		}
	}
	want("at first", registry.Enabled)
	off := entry("edna")
	off.Status = registry.Disabled
	if _, err := s.Put(t.Context(), off, audittest.ByOperator()); err != nil {
		t.Fatal(err)
	}
	clock.Pass(registry.CacheAge - time.Millisecond)
	want("while it is kept", registry.Enabled)
	clock.Pass(time.Millisecond)
	want("then", registry.Disabled)
	if e, err := s.Read(t.Context(), "edna"); err != nil || !e.Same(off) || !e.CreatedAt.Before(clock.Now()) {
		t.Errorf("the entry is %+v, %v", e, err)
	}
	if _, err := s.Get(t.Context(), "none"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a missing provider: %v", err)
	}
}

func TestASenderBelongsToOneChannel(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 20)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		taken = map[string]string{}
		none  int
	)
	for i := range 60 {
		channelID := fmt.Sprintf("chn_%d", i%30) // each asks twice
		wg.Go(func() {
			sender, err := s.TakeSender(t.Context(), "edna", channelID)
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, registry.ErrNoSender) {
				none++
				return
			}
			if err != nil {
				t.Error(err)
			}
			if other, ok := taken[sender.ID]; ok && other != channelID {
				t.Errorf("sender %s was given to %s and %s", sender.ID, other, channelID)
			}
			taken[sender.ID] = channelID
		})
	}
	wg.Wait()
	if len(taken) != 20 || none == 0 {
		t.Errorf("%d senders were given, %d requests refused", len(taken), none)
	}
}

func TestASenderComesBackOnlyFromItsChannel(t *testing.T) {
	t.Parallel()
	s, clock := newStore(t, 1)
	ctx := t.Context()
	first, err := s.TakeSender(ctx, "edna", "chn_1")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.TakeSender(ctx, "edna", "chn_1"); err != nil || again.ID != first.ID {
		t.Errorf("the same channel again got %+v, %v", again, err)
	}
	if _, err := s.TakeSender(ctx, "edna", "chn_2"); !errors.Is(err, registry.ErrNoSender) {
		t.Errorf("another channel: %v", err)
	}
	for _, c := range []struct {
		channelID string
		freed     bool
	}{{"chn_2", false}, {"chn_1", true}, {"chn_1", false}} {
		if freed, err := s.FreeSender(ctx, "edna", first.ID, c.channelID); freed != c.freed || err != nil {
			t.Errorf("given back by %s: %v, %v", c.channelID, freed, err)
		}
	}
	freed := clock.Now()
	clock.Pass(registry.Rest - time.Millisecond)
	resting := new(registry.RestingError)
	if _, err := s.TakeSender(ctx, "edna", "chn_2"); !errors.As(err, &resting) || !errors.Is(err, registry.ErrNoSender) || !resting.Until.Equal(freed.Add(registry.Rest)) {
		t.Errorf("while it rests, another channel got %v", err)
	}
	clock.Pass(time.Millisecond)
	if got, err := s.TakeSender(ctx, "edna", "chn_2"); err != nil || got.ID != first.ID || got.Address != first.Address {
		t.Errorf("then another channel got %+v, %v", got, err)
	}
	if _, err := s.TakeSender(ctx, "other", "chn_3"); !errors.Is(err, registry.ErrNoSender) {
		t.Errorf("another provider's pool: %v", err)
	}
}

func TestTheSenderThatIsFreeForTheLongestIsTaken(t *testing.T) {
	t.Parallel()
	s, clock := newStore(t, 3)
	ctx := t.Context()
	var ids []string
	for i := range 3 {
		channelID := fmt.Sprintf("chn_%d", i)
		sender, err := s.TakeSender(ctx, "edna", channelID)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, sender.ID)
	}
	for _, i := range []int{1, 0, 2} {
		if _, err := s.FreeSender(ctx, "edna", ids[i], fmt.Sprintf("chn_%d", i)); err != nil {
			t.Fatal(err)
		}
		clock.Pass(registry.Rest)
	}
	for n, i := range []int{1, 0, 2} {
		if got, err := s.TakeSender(ctx, "edna", fmt.Sprintf("chn_new_%d", n)); err != nil || got.ID != ids[i] {
			t.Errorf("taken %d: %+v, %v, want %s", n, got, err, ids[i])
		}
	}
}

func TestOnlySendersOfLostChannelsAreReclaimed(t *testing.T) {
	t.Parallel()
	s, clock := newStore(t, 3)
	for _, channelID := range []string{"chn_lost", "chn_kept"} {
		if _, err := s.TakeSender(t.Context(), "edna", channelID); err != nil {
			t.Fatal(err)
		}
	}
	clock.Pass(5 * time.Minute)
	if _, err := s.TakeSender(t.Context(), "edna", "chn_young"); err != nil {
		t.Fatal(err)
	}
	gone := func(_ context.Context, channelID string) (bool, error) { return channelID != "chn_kept", nil }
	if n, err := s.ReclaimSenders(t.Context(), "edna", "chn_new", gone); n != 1 || err != nil {
		t.Errorf("%d came back, %v", n, err)
	}
	list, _, err := s.Senders(t.Context(), "edna", attr.Page{Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]bool{}
	for _, sender := range list {
		held[sender.ChannelID] = true
	}
	if !held["chn_kept"] || !held["chn_young"] || held["chn_lost"] {
		t.Errorf("the pool is %+v", list)
	}
	failing := func(context.Context, string) (bool, error) { return false, context.DeadlineExceeded }
	clock.Pass(5 * time.Minute)
	if n, err := s.ReclaimSenders(t.Context(), "edna", "chn_new", failing); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d came back without a word on their channels, %v", n, err)
	}
}

func TestTheListHasEveryProviderHoweverManyThereAre(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t, 0)
	const many = 201
	for i := range many {
		if _, err := s.Put(t.Context(), entry(fmt.Sprintf("p%03d", i)), audittest.ByOperator()); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != many {
		t.Errorf("%d providers, %v; want %d", len(list), err, many)
	}
}
