package day

import (
	"fmt"
	"strings"
	"time"

	"contactcenter/scripts/demo/internal/screen"
)

// tell puts a line among what has happened.
func (d *day) tell(at time.Duration, what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.news = append(d.news, "  "+clockTime(at)+"  "+what)
}

// show draws the day as it is at the moment: what is new as lines, and below them, in a terminal, a picture that is drawn over again.
// Without a terminal a line tells of each half hour.
func (d *day) show() {
	d.mu.Lock()
	news := d.news
	d.news = nil
	d.mu.Unlock()
	for _, line := range news {
		d.screen.Line(line)
	}
	now := d.clock.shows()
	if d.screen.Live {
		d.screen.Picture(d.picture(now)...)
		return
	}
	for ; now >= d.half && d.half <= closes; d.half += 30 * time.Minute {
		if d.half > opens {
			d.screen.Line("  " + clockTime(d.half) + "  " + d.halfHour())
		}
	}
}

// line is what the display knows of an account.
type line struct {
	name string
	counts
	accepted, refused int
}

func (d *day) lines() []line {
	var out []line
	for i, a := range d.actors {
		l := line{name: a.name, counts: d.crm.counts(i)}
		l.accepted, l.refused = a.book.totals()
		out = append(out, l)
	}
	return out
}

// waiting are the messages that have not come to an end, as the CRM sees it.
func (l line) waiting() int { return max(0, l.accepted-l.ended) }

// halfHour is the day so far in one line.
func (d *day) halfHour() string {
	var all line
	for _, l := range d.lines() {
		all.accepted += l.accepted
		all.sent += l.sent
		all.delivered += l.delivered
		all.read += l.read
		all.ended += l.ended
		all.refused += l.refused
		all.replies += l.replies
		all.events += l.events
	}
	return fmt.Sprintf("accepted %s, sent %s, delivered %s, read %s, waiting %s, refused %s; replies %s; events %s; %s",
		number(all.accepted), number(all.sent), number(all.delivered), number(all.read), number(all.waiting()), number(all.refused), number(all.replies), number(all.events), d.providers(plain))
}

func plain(_, text string) string { return text }

// providers are those of the day with their health.
func (d *day) providers(paint func(style, text string) string) string {
	styles := map[string]string{"operational": screen.Green, "degraded": screen.Bold, "outage": screen.Red}
	var parts []string
	for _, id := range []string{"edna", "twilio_sms"} {
		status := d.provider(id)
		if status == "" {
			status = "not asked yet"
		}
		parts = append(parts, id+" "+paint(styles[status], status))
	}
	return strings.Join(parts, ", ")
}

// barWidth is how long the bar of the day is.
const barWidth = 28

func (d *day) picture(now time.Duration) []string {
	columns := table{"accepted", "sent", "delivered", "read", "waiting", "refused", "replies", "events"}
	done := int(barWidth * (min(now, closes) - opens) / (closes - opens))
	out := []string{
		"",
		fmt.Sprintf("  %s  %s%s  %s", d.screen.Paint(screen.Bold, clockTime(min(now, closes))), strings.Repeat("█", done), strings.Repeat("░", barWidth-done), d.providers(d.screen.Paint)),
		d.screen.Paint(screen.Faint, columns.head()),
	}
	for _, l := range d.lines() {
		out = append(out, columns.row(l.name, l.accepted, l.sent, l.delivered, l.read, l.waiting(), l.refused, l.replies, l.events))
	}
	return append(out, "  "+d.screen.Paint(screen.Faint, d.now))
}

// table are the heads of columns of figures. Beside the accounts' names, those of the picture fit a terminal of 80 characters.
type table []string

func (t table) head() string { return t.line("", t) }

// row is a line of the table: a name, and figures at the right of their columns.
func (t table) row(name string, figures ...int) string {
	var cells []string
	for _, n := range figures {
		cells = append(cells, number(n))
	}
	return t.line(name, cells)
}

func (t table) line(name string, cells []string) string {
	out := fmt.Sprintf("  %-16s", name)
	for i, c := range cells {
		out += fmt.Sprintf("%*s", max(len(t[i])+1, 6), c)
	}
	return out
}

func number(n int) string { return screen.Grouped(int64(n)) }
