package day

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"contactcenter/scripts/demo/internal/screen"
	"contactcenter/shared/api"
)

// someDay is a day in its midst, at 12:30, of which the first account has figures.
func someDay(out *strings.Builder, live bool) (*day, *time.Time) {
	now := noon
	d := &day{screen: &screen.Screen{Out: out, Live: live}, crm: newCRM(len(cast())), half: opens}
	d.clock = newClock(240, func() time.Time { return now })
	for i, m := range cast() {
		d.actors = append(d.actors, &actor{member: m, index: i, book: newBook()})
	}
	for i := range 1300 {
		id := fmt.Sprint(i)
		d.actors[0].book.accept(step{}, i, i, id)
		for status, until := range map[string]int{"queued": 1300, "sent": 1290, "delivered": 1200, "read": 1000} {
			if i < until {
				e := event("message."+status, id)
				reached := d.crm.inboxes[0].reached
				if reached[e.Type] == nil {
					reached[e.Type] = map[string]bool{}
				}
				reached[e.Type][id] = true
				d.crm.inboxes[0].events[e.ID] = e
			}
		}
	}
	d.actors[0].book.refuse("recipient_opted_out")
	d.health = []api.ProviderHealth{{ID: "edna", Status: "outage"}, {ID: "twilio_sms", Status: "operational"}}
	d.clock.run()
	now = now.Add(67500 * time.Millisecond)
	return d, &now
}

func TestThePictureShowsTheDayAsItIs(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	d, _ := someDay(&out, true)
	d.now = "waiting until the outage is seen"
	d.tell(outageBegins, "edna answers nothing but 503")
	d.show()
	want := `  12:00  edna answers nothing but 503

  12:30  ████████████░░░░░░░░░░░░░░░░  edna outage, twilio_sms operational
                   accepted  sent delivered  read waiting refused replies events
  Linden Pharmacy     1,300 1,290     1,200 1,000      10       1       0  4,790
  Kestrel Parcels         0     0         0     0       0       0       0      0
  Hillside School         0     0         0     0       0       0       0      0
  Cog & Spring            0     0         0     0       0       0       0      0
  Fern Garden Shop        0     0         0     0       0       0       0      0
  waiting until the outage is seen`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	d.tell(outageEnds, "edna answers again")
	d.show()
	if got := out.String(); !strings.HasPrefix(got, "\r\x1b[K"+strings.Repeat("\x1b[1A\x1b[K", 8)+"  12:45  edna answers again\n\n  12:30") {
		t.Errorf("it is not drawn over: %q", got)
	}
}

func TestWithoutATerminalALineTellsOfEachHalfHour(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	d, now := someDay(&out, false)
	d.half = 12 * time.Hour
	d.show()
	d.show()
	d.tell(outageEnds, "edna answers again")
	*now = now.Add(time.Hour) // far into the night
	d.half = 17*time.Hour + 30*time.Minute
	d.show()
	d.show()
	figures := "accepted 1,300, sent 1,290, delivered 1,200, read 1,000, waiting 10, refused 1; replies 0; events 4,790; edna outage, twilio_sms operational\n"
	want := "  12:00  " + figures + "  12:30  " + figures + "  12:45  edna answers again\n" + "  17:30  " + figures + "  18:00  " + figures
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
