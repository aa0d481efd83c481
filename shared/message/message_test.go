package message_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"contactcenter/shared/awsclient"
	"contactcenter/shared/id"
	"contactcenter/shared/message"
)

func TestStatusJoinsWhatWeDidWithWhatWasReported(t *testing.T) {
	t.Parallel()
	cases := []struct{ outcome, report, want message.Status }{
		{message.Queued, "", message.Queued}, {message.Queued, message.Sent, message.Sent}, {message.Queued, message.Delivered, message.Delivered},
		{message.Queued, message.Failed, message.Failed}, {message.Held, message.Read, message.Read}, {message.Sent, "", message.Sent},
		{message.Sent, message.Delivered, message.Delivered}, {message.Sent, message.Read, message.Read}, {message.Sent, message.Failed, message.Failed},
		{message.Unknown, message.Sent, message.Sent}, {message.Unknown, message.Delivered, message.Delivered}, {message.Failed, message.Delivered, message.Delivered},
		{message.Failed, "", message.Failed}, {message.Canceled, message.Delivered, message.Canceled}, {message.Rejected, "", message.Rejected},
		{message.Expired, "", message.Expired}, {message.Received, "", message.Received},
	}
	for _, c := range cases {
		if got := (message.Message{Outcome: c.outcome, Report: c.report}).Status(); got != c.want {
			t.Errorf("%s and %q: got %s, want %s", c.outcome, c.report, got, c.want)
		}
	}
}

//
func TestTheTimelineIsInTheOrderInWhichThingsHappened(t *testing.T) {
	t.Parallel()
	created := mid(0).Time()
	step := func(status message.Status, sec int) message.Step { return message.Step{Status: status, At: at(sec)} }
	cases := map[string]struct {
		report      message.Status
		steps, want []message.Step
	}{
		"as written": {message.Read,
			[]message.Step{step(message.Sent, 1), step(message.Delivered, 2), step(message.Read, 3)},
			[]message.Step{step(message.Sent, 1), step(message.Delivered, 2), step(message.Read, 3)}},
		"delivered before our own write": {message.Delivered,
			[]message.Step{step(message.Delivered, 2), step(message.Sent, 3)},
			[]message.Step{step(message.Sent, 3), step(message.Delivered, 3)}},
		"read before our own write": {message.Read,
			[]message.Step{step(message.Delivered, 2), step(message.Read, 4), step(message.Sent, 3)},
			[]message.Step{step(message.Sent, 3), step(message.Delivered, 3), step(message.Read, 4)}},
		"undelivered before our own write": {message.Failed,
			[]message.Step{step(message.Failed, 2), step(message.Sent, 3)},
			[]message.Step{step(message.Sent, 3), step(message.Failed, 3)}},
		"a failure that was corrected": {"",
			[]message.Step{step(message.Failed, 2), step(message.Sent, 3)},
			[]message.Step{step(message.Failed, 2), step(message.Sent, 3)}},
		"an unknown that was corrected": {message.Delivered,
			[]message.Step{step(message.Unknown, 2), step(message.Delivered, 3)},
			[]message.Step{step(message.Unknown, 2), step(message.Delivered, 3)}},
		"a provider whose clock is behind": {message.Delivered,
			[]message.Step{step(message.Sent, 1), step(message.Delivered, -5)},
			[]message.Step{step(message.Sent, 1), step(message.Delivered, 1)}},
		"held and released": {message.Delivered,
			[]message.Step{step(message.Held, 1), step(message.Queued, 2), step(message.Delivered, 3), step(message.Sent, 4)},
			[]message.Step{step(message.Held, 1), step(message.Queued, 2), step(message.Sent, 4), step(message.Delivered, 4)}},
	}
	for name, c := range cases {
		m := message.Message{ID: mid(0), Direction: message.Outbound, Outcome: message.Sent, Report: c.report, Steps: c.steps}
		want := append([]message.Step{{Status: message.Queued, At: created}}, c.want...)
		if got := m.Timeline(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got\n%v\nwant\n%v", name, got, want)
		}
	}
}

// A write costs a unit for each KB of the whole item, so a message with short content costs one each time.
func TestAStateItemStaysWithinOneWriteUnit(t *testing.T) {
	t.Parallel()
	// The longest text that goes inline with these names, found by trying: a longer one lies in an item of its own.
	const longest = 485
	cases := map[string]string{
		"300 bytes of text inline": strings.Repeat("x", 300), "the longest text inline": strings.Repeat("x", longest),
		"the shortest text in an item of its own": strings.Repeat("x", longest+1), "long text": strings.Repeat("x", 4000),
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			m := fresh(mid(1), text)
			m.AccountID, m.ChannelID, m.RulesVersion, m.CreatedBy = "acc_06h0tvat09gp4rv4", "chn_06h0tvat09gp4rv4", "2026-11-01", "crm-production"
			m.Address = "+441234567890123"
			create(t, s, m)
			ctx := t.Context()
			largest := 0
			steps := []func() (message.Written, error){
				func() (message.Written, error) {
					return s.Sent(ctx, m.AccountID, m.ID, 123456, message.Handover{ProviderMessageID: "wamid.HBgLMTIzNDU2Nzg5MDEyFQIAERgSMTIzNDU2Nzg5MDEyMzQ1Njc4AA==", At: at(1), Attempt: true})
				},
				func() (message.Written, error) {
					return s.Report(ctx, m.AccountID, m.ChannelID, m.ID, message.Report{Status: message.Delivered, At: at(2)})
				},
				func() (message.Written, error) {
					return s.Report(ctx, m.AccountID, m.ChannelID, m.ID, message.Report{Status: message.Read, At: at(3)})
				},
			}
			for i := range len(steps) + 1 {
				largest = max(largest, stateBytes(t, s, m.AccountID, m.ID))
				if i < len(steps) {
					if w, err := steps[i](); err != nil || !w.Applied {
						t.Fatalf("%+v, %v", w, err)
					}
				}
			}
			t.Logf("%d bytes", largest)
			if largest > 1024 {
				t.Fatalf("%d bytes, want 1024 at most", largest)
			}
			got, err := s.Get(ctx, m.AccountID, m.ID)
			if err != nil || got.Status() != message.Read || got.External != (len(text) > longest) || got.Content.Text != text {
				t.Fatalf("got %+v, %v", got, err)
			}
		})
	}
}

func stateBytes(t *testing.T, s *message.Store, account string, m id.Message) int {
	t.Helper()
	out, err := s.DB.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &s.Table, Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: account + "#" + m.Conversation}, "sk": &types.AttributeValueMemberS{Value: "m#" + m.Unique},
	}})
	if err != nil || len(out.Item) == 0 {
		t.Fatalf("no item: %v", err)
	}
	return awsclient.ItemBytes(out.Item)
}

func TestUpdatedAtIsTheTimeOfTheLastStep(t *testing.T) {
	t.Parallel()
	m := message.Message{ID: mid(0)}
	if !m.UpdatedAt().Equal(mid(0).Time()) {
		t.Errorf("a new message was updated at %v", m.UpdatedAt())
	}
	m.Steps = []message.Step{{At: at(5)}, {At: at(3)}}
	if !m.UpdatedAt().Equal(at(5)) || m.CreatedAt().Sub(start) > time.Millisecond {
		t.Errorf("updated at %v", m.UpdatedAt())
	}
}
