package day

import (
	"strings"
	"testing"
	"time"
)

func TestTheSummaryCanBeRead(t *testing.T) {
	t.Parallel()
	one, other := agreeing("Linden Pharmacy"), agreeing("Fern Garden Shop")
	other.notes.refused["account_restricted"] = 1200
	other.notes.late = []time.Duration{61200 * time.Millisecond}
	want := `                   accepted  sent delivered  read failed canceled  held rejected replies events
  Linden Pharmacy         5     2         2     1      1        1     1        2       1     13
  Fern Garden Shop        5     2         2     1      1        1     1    1,202       1     13
  all                    10     4         4     2      2        2     2    1,204       2     26

  rejected  Linden Pharmacy: 2 recipient_opted_out
            Fern Garden Shop: 1,200 account_restricted, 2 recipient_opted_out
  failed    Linden Pharmacy: 1 recipient_invalid
            Fern Garden Shop: 1 recipient_invalid
  held      Linden Pharmacy: 1 account_restricted
            Fern Garden Shop: 1 account_restricted
  events    10 queued, 2 canceled, 2 delivered, 2 failed, 2 held, 2 read, 2 received, 2 rejected, 2 usage.reset
  slow      Linden Pharmacy: messages that the provider had after more than 30 s: 1, at most 40.0 s
  slow      Fern Garden Shop: messages that the provider had after more than 30 s: 1, at most 40.0 s
  slow      Fern Garden Shop: replies that the CRM was told after more than 30 s: 1, at most 61.2 s`
	if got := strings.Join(summary([]evidence{one, other}), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLongReasonsAreBroken(t *testing.T) {
	t.Parallel()
	got := wrapped("events", strings.Repeat("1,234 usage.limit_reached, ", 9)+"5 others")
	if len(got) != 3 {
		t.Errorf("%d lines", len(got))
	}
	for i, l := range got {
		if len(l) > width || i > 0 && !strings.HasPrefix(l, "            1,234") {
			t.Errorf("%q", l)
		}
	}
	if wrapped("failed", "") != nil {
		t.Error("a title without a text")
	}
}

func TestWhatStillWaitsIsToldWithItsReason(t *testing.T) {
	t.Parallel()
	e := agreeing("Linden Pharmacy")
	e.listed["canceled"] = shown{status: "held", held: "provider_disabled"}
	e.events = append(e.events, event("message.held", "failed"))
	if got := each(e.heldWhy()); got != "1 account_restricted, 1 not seen why, 1 provider_disabled" {
		t.Error(got)
	}
}
