package channel_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/attr"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/audittest"
	"contactcenter/shared/channel"
)

const instructionID = "ins_0000000000000001"

func instruct(t *testing.T, s *channel.Store) string {
	t.Helper()
	token, err := channel.NewToken("chn_1", instructionID, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := channel.Instruction{ID: instructionID, ChannelID: "chn_1", AccountID: "acct_1", IssuedBy: "user_7", IssuedAt: start, ExpiresAt: start.Add(time.Hour)}
	if err := s.Instruct(t.Context(), i, token, by()); err != nil {
		t.Fatal(err)
	}
	return token
}

func following(i channel.Instruction, at time.Time) channel.Activation {
	a := activation()
	a.By, a.At, a.Instruction = i.IssuedBy, at, &i
	return a
}

// whatever is wrong with an instruction, the answer is the same.
func TestAnInstructionThatIsNotGoodIsNotFound(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		token func(token string) string
		then  func(ctx context.Context, s *channel.Store, i channel.Instruction) error
		after time.Duration
	}{
		"nothing":             {token: func(string) string { return "" }},
		"no token":            {token: func(string) string { return "chn_1" }},
		"no secret":           {token: func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] }},
		"another secret":      {token: func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] + strings.Repeat("A", 43) }},
		"a shorter secret":    {token: func(s string) string { return s[:len(s)-1] }},
		"another channel":     {token: func(s string) string { return strings.Replace(s, "chn_1", "chn_2", 1) }},
		"another instruction": {token: func(s string) string { return strings.Replace(s, "01.", "02.", 1) }},
		"at its last moment":  {after: time.Hour},
		"long after":          {after: 1000 * time.Hour},
		"one that was used": {then: func(ctx context.Context, s *channel.Store, i channel.Instruction) error {
			_, err := s.Activate(ctx, "chn_1", following(i, start), by())
			return err
		}},
		"one that was withdrawn": {then: func(ctx context.Context, s *channel.Store, i channel.Instruction) error {
			return s.WithdrawInstruction(ctx, "chn_1", i.ID, start, by())
		}},
	}
	for name, c := range cases {
		s := newStore(t)
		token := instruct(t, s)
		i, err := s.FindInstruction(t.Context(), token, start.Add(time.Hour-time.Millisecond))
		if err != nil || i.ID != instructionID || i.AccountID != "acct_1" || i.IssuedBy != "user_7" {
			t.Fatalf("%s: the good one is %+v, %v", name, i, err)
		}
		if c.then != nil {
			if err := c.then(t.Context(), s, i); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if c.token != nil {
			token = c.token(token)
		}
		if _, err := s.FindInstruction(t.Context(), token, start.Add(c.after)); !errors.Is(err, channel.ErrInstruction) {
			t.Errorf("%s: %v", name, err)
		}
		// The very write looks again: what was good when it was read may not be so any more.
		if c.then != nil || c.after > 0 {
			before := get(t, s)
			if _, err := s.Activate(t.Context(), "chn_1", following(i, start.Add(c.after)), by()); !errors.Is(err, channel.ErrInstruction) {
				t.Errorf("%s: followed all the same: %v", name, err)
			}
			if after := get(t, s); after.Status != before.Status || !after.ActivatedAt.Equal(before.ActivatedAt) {
				t.Errorf("%s: the channel became %+v", name, after)
			}
		}
	}
}

// an instruction is for one channel.
func TestAnInstructionActivatesItsOwnChannelOnly(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if err := s.Create(t.Context(), channel.Channel{ID: "chn_2", AccountID: "acct_1", ProviderID: "edna", Type: "whatsapp", Name: "Other", CreatedAt: start, CreatedBy: "user_7"}, by()); err != nil {
		t.Fatal(err)
	}
	i, err := s.FindInstruction(t.Context(), instruct(t, s), start)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Activate(t.Context(), "chn_2", following(i, start), by()); !errors.Is(err, channel.ErrInstruction) {
		t.Errorf("another channel: %v", err)
	}
	forged := i
	forged.ChannelID = "chn_2"
	if _, err := s.Activate(t.Context(), "chn_2", following(forged, start), by()); !errors.Is(err, channel.ErrInstruction) {
		t.Errorf("another channel that claims it: %v", err)
	}
	if c, err := s.Get(t.Context(), "chn_2"); err != nil || c.Status != channel.Inactive {
		t.Errorf("the other channel is %+v, %v", c, err)
	}
	if c, err := s.Activate(t.Context(), "chn_1", following(i, start), by()); err != nil || c.Status != channel.Active || c.ActivatedBy != "user_7" {
		t.Errorf("its own became %+v, %v", c, err)
	}
}

// however many follow an instruction at once, one does.
func TestAnInstructionIsFollowedOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	i, err := s.FindInstruction(t.Context(), instruct(t, s), start)
	if err != nil {
		t.Fatal(err)
	}
	var followed, refused atomic.Int64
	var all sync.WaitGroup
	for range 12 {
		all.Go(func() {
			_, err := s.Activate(t.Context(), "chn_1", following(i, start), by())
			switch {
			case err == nil:
				followed.Add(1)
			case errors.Is(err, channel.ErrInstruction):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if followed.Load() != 1 || refused.Load() != 11 {
		t.Errorf("%d followed it, %d were refused", followed.Load(), refused.Load())
	}
	n := 0
	for _, e := range audittest.Of(t, s.Audit, "acct_1") {
		if e.Action == "channel.activated" {
			n++
			if e.InstructionID != instructionID {
				t.Errorf("the event names the instruction %q", e.InstructionID)
			}
		}
	}
	if n != 1 {
		t.Errorf("there are %d events of it", n)
	}
}

// of the token nothing is kept but its hash.
func TestTheTokenIsNowhereKept(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	token := instruct(t, s)
	secret := token[strings.LastIndexByte(token, '.')+1:]
	if len(secret) != 43 { // 256 bits
		t.Errorf("the secret has %d characters", len(secret))
	}
	db := s.DB.(*dynamodb.Client)
	for _, table := range []string{s.Table, s.Audit.Table} {
		out, err := db.Scan(t.Context(), &dynamodb.ScanInput{TableName: &table})
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range out.Items {
			for name := range it {
				if strings.Contains(attr.Text(it, name), secret) {
					t.Errorf("%s has it in %s", table, name)
				}
			}
		}
	}
}

func TestWithdrawingAnInstruction(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if err := s.WithdrawInstruction(t.Context(), "chn_1", instructionID, start, by()); !errors.Is(err, channel.ErrInstruction) {
		t.Errorf("one that is not there: %v", err)
	}
	i, err := s.FindInstruction(t.Context(), instruct(t, s), start)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Activate(t.Context(), "chn_1", following(i, start), by()); err != nil {
		t.Fatal(err)
	}
	if err := s.WithdrawInstruction(t.Context(), "chn_1", instructionID, start, by()); !errors.Is(err, channel.ErrInstructionUsed) {
		t.Errorf("one that was followed: %v", err)
	}
}

// each change by a person is in the log with what was before and after; what changes nothing, and what no person
// does, is not.
func TestEveryPersonsChangeOfAChannelIsInTheLog(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	steps := []struct {
		name string
		do   func(ctx context.Context) error
		want string
	}{
		{"created", nil, `channel.created map[] map[name:Orders provider_id:edna status:inactive type:whatsapp]`},
		{"created again", func(ctx context.Context) error { return s.Create(ctx, get(t, s), by()) }, ""},
		{"deactivated while inactive", func(ctx context.Context) error { _, err := s.Deactivate(ctx, "chn_1", by()); return err }, ""},
		{"renamed", func(ctx context.Context) error { _, err := s.Rename(ctx, "chn_1", "New", by()); return err }, `channel.renamed map[name:Orders] map[name:New]`},
		{"renamed the same", func(ctx context.Context) error { _, err := s.Rename(ctx, "chn_1", "New", by()); return err }, ""},
		{"activated", func(ctx context.Context) error { _, err := s.Activate(ctx, "chn_1", activation(), by()); return err }, `channel.activated map[status:inactive] map[activated_by:user_7 provider_terms_version:t1 status:active transfer_countries:[CY]]`},
		{"paused", func(ctx context.Context) error { return s.Pause(ctx, "chn_1", start.Add(time.Hour)) }, ""},
		{"its credentials became invalid", func(ctx context.Context) error { _, err := s.MarkCredentialsInvalid(ctx, "chn_1", nil); return err }, ""},
		{"deactivated", func(ctx context.Context) error { _, err := s.Deactivate(ctx, "chn_1", by()); return err }, `channel.deactivated map[status:credentials_invalid] map[status:inactive]`},
		{"deleted", func(ctx context.Context) error { _, err := s.Delete(ctx, "chn_1", start, by()); return err }, `channel.deleted map[name:New status:inactive] map[]`},
	}
	var want []string
	for _, st := range steps {
		if st.do != nil {
			if err := st.do(t.Context()); err != nil {
				t.Fatalf("%s: %v", st.name, err)
			}
		}
		if st.want != "" {
			want = append(want, st.want)
		}
		var got []string
		for _, e := range audittest.Of(t, s.Audit, "acct_1") {
			got = append(got, fmt.Sprint(e.Action, " ", e.Before, " ", e.After))
			if after := slices.Contains([]string{"channel.activated", "channel.deactivated", "channel.deleted"}, e.Action); after != (e.RulesVersion == "v1") {
				t.Errorf("%s: the event of %s names the Rules %q", st.name, e.Action, e.RulesVersion)
			}
			if e.Target != "chn_1" || e.Actor != (audit.Actor{Kind: audit.User, ID: "user_1", AccountID: "acct_1"}) {
				t.Errorf("%s: the event is %+v", st.name, e)
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%s: the log has\n%s\nwant\n%s", st.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// what a change is said to have been made from is what was there, also when others change it at the same time.
func TestChangesAtTheSameTimeAreAChainInTheLog(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	var all sync.WaitGroup
	done := map[string]bool{}
	var mu sync.Mutex
	for n := range 4 {
		all.Go(func() {
			name := fmt.Sprint("name ", n)
			if _, err := s.Rename(t.Context(), "chn_1", name, by()); err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			done[name] = true
		})
	}
	all.Wait()
	from := map[string]string{}
	for _, e := range audittest.Of(t, s.Audit, "acct_1") {
		if e.Action == "channel.renamed" {
			from[e.Before["name"].(string)] = e.After["name"].(string)
		}
	}
	at := "Orders"
	for range done {
		at = from[at]
	}
	if at != get(t, s).Name || len(from) != len(done) {
		t.Errorf("the log tells %v, the name is %s", from, get(t, s).Name)
	}
}
