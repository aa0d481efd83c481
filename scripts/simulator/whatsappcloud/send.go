package whatsappcloud

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"contactcenter/scripts/simulator/stage"
)

// The limits of one number: Meta's pages on throughput and on pair rate limits.
const (
	perSecond   = 80
	pairBurst   = 45
	pairSpacing = 6 * time.Second
	window      = 24 * time.Hour
)

// order is the body of a send.
type order struct {
	Product   string `json:"messaging_product"`
	To        string `json:"to"`
	Recipient string `json:"recipient"`
	Opaque    string `json:"biz_opaque_callback_data"`
	Type      string `json:"type"`
	Text      *struct {
		Body string `json:"body"`
	} `json:"text"`
	Image    *file `json:"image"`
	Video    *file `json:"video"`
	Audio    *file `json:"audio"`
	Document *file `json:"document"`
	Location *struct {
		Latitude  *float64 `json:"latitude"`
		Longitude *float64 `json:"longitude"`
	} `json:"location"`
	Template    *filling     `json:"template"`
	Interactive *interactive `json:"interactive"`
}

type file struct {
	ID      string `json:"id"`
	Link    string `json:"link"`
	Caption string `json:"caption"`
}

type interactive struct {
	Type   string `json:"type"`
	Header *struct {
		Type string `json:"type"`
		Text string `json:"text"`
	} `json:"header"`
	Body   struct{ Text string }  `json:"body"`
	Footer *struct{ Text string } `json:"footer"`
	Action struct {
		Buttons []struct {
			Reply struct{ ID, Title string } `json:"reply"`
		} `json:"buttons"`
		Button   string `json:"button"`
		Sections []struct {
			Title string                                    `json:"title"`
			Rows  []struct{ ID, Title, Description string } `json:"rows"`
		} `json:"sections"`
		Name       string `json:"name"`
		Parameters struct {
			Text string `json:"display_text"`
			URL  string `json:"url"`
		} `json:"parameters"`
	} `json:"action"`
}

// read is the body of a send as far as it could be read.
type read struct {
	order
	err error
}

// look reads what a call is about before it is judged, so that also a failed one is remembered with it.
func (s *Simulator) look(c *call) {
	if s.known(c.id()) {
		c.Sender = c.id()
	}
	in := &read{}
	c.Own = in
	if strings.HasSuffix(c.Request.URL.Path, "/messages") {
		in.err = json.Unmarshal(c.Body, &in.order)
		c.RequestID, c.To = in.Opaque, in.To+in.Recipient
	}
}

// bsuid is a business-scoped id of a person.
var bsuid = regexp.MustCompile(`^[A-Z]{2}\.(ENT\.)?[A-Za-z0-9]{1,128}$`)

func (s *Simulator) send(c *call) {
	in := c.Own.(*read)
	n, known := s.numbers[c.id()]
	switch {
	case !known:
		c.unknown()
		return
	case in.err != nil || !utf8.Valid(c.Body):
		c.refuse(http.StatusBadRequest, 100, "Invalid parameter", "the body is not JSON")
		return
	}
	if f := in.fault(n); !f.none() {
		c.refuse(http.StatusBadRequest, f.code, f.title, f.details)
		return
	}
	person := strings.TrimPrefix(in.To, "+")
	if person == "" {
		person = in.Recipient
	}
	s.take(c, in.order, n, pair{n.ID, person})
}

// take takes a message that is well formed, if the limits, the window and the template allow it.
func (s *Simulator) take(c *call, o order, n Number, p pair) {
	now, b := s.stage.Now(), s.stage.Behaviour(n.ID)
	how := ownOf(b)
	s.mu.Lock()
	life := stage.Life{Statuses: b.Fate("sent", "delivered", "read")}
	failure := b.StatusError
	f, status := s.limited(p, now, how)
	var t Template
	if f.none() && o.Template != nil {
		t, f = s.find(*o.Template)
	}
	wrote, ever := s.lastWrote[p]
	if closed := o.Template == nil && !how.OpenWindow && (!ever || now.Sub(wrote) >= window); f.none() && closed {
		if !how.LateErrors {
			f = fault{131047, "Re-engagement message", "Message failed to send because more than 24 hours have passed since the customer last replied to this number."}
		}
		life.Statuses, failure = []string{"failed"}, "131047"
	}
	if f.none() && t.Category == "MARKETING" && s.optedOut[p] {
		life.Statuses, failure = []string{"failed"}, "131050"
	}
	if !f.none() {
		s.mu.Unlock()
		c.refuse(status, f.code, f.title, f.details)
		return
	}
	s.n++
	wamid := wamidOf(p.person, s.n)
	if o.Opaque != "" {
		s.sent[o.Opaque] = wamid
	}
	s.mu.Unlock()

	life.Tell = s.tell(n, p, wamid, o.Opaque, failure)
	c.reply(map[string]any{
		"messaging_product": "whatsapp", "contacts": []any{map[string]string{"input": o.To + o.Recipient, "wa_id": p.person}},
		"messages": []any{map[string]string{"id": wamid, "message_status": "accepted"}},
	})
	s.stage.Accept(c.Exchange, life)
}

// limited keeps the throughput of a number and of a pair. The caller holds mu.
func (s *Simulator) limited(p pair, now time.Time, how own) (fault, int) {
	if s.flow[p.number] == nil {
		s.flow[p.number] = &bucket{}
	}
	if s.pairs[p] == nil {
		s.pairs[p] = &bucket{}
	}
	switch {
	case !s.flow[p.number].take(now, perSecond, time.Second/perSecond):
		return fault{130429, "Rate limit hit", "Cloud API message throughput has been reached."}, how.RateStatus
	case !s.pairs[p].take(now, pairBurst, pairSpacing):
		return fault{131056, "(Business Account, Consumer Account) pair rate limit hit", "Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time."}, how.RateStatus
	}
	return fault{}, http.StatusBadRequest
}

// wamidOf makes an id like Meta's, which holds the person's number.
func wamidOf(person string, n int64) string {
	return "wamid." + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "\x1d\x18%c%s\x15\x02\x00\x11\x18\x12%018X\x00", len(person), person, n))
}

// tell reports a message's statuses, with an error for those that are failures.
func (s *Simulator) tell(n Number, p pair, wamid, opaque, failure string) func(string, time.Time, stage.Behaviour) stage.Callback {
	return func(status string, at time.Time, now stage.Behaviour) stage.Callback {
		out := map[string]any{"id": wamid, "status": status, "timestamp": strconv.FormatInt(at.Unix(), 10)}
		if bsuid.MatchString(p.person) {
			out["recipient_user_id"] = p.person
		} else {
			out["recipient_id"] = p.person
		}
		if opaque != "" && !ownOf(now).NoEcho {
			out["biz_opaque_callback_data"] = opaque
		}
		if status == "failed" {
			code, err := strconv.Atoi(failure)
			if err != nil {
				code = 131000
			}
			out["errors"] = []any{map[string]any{
				"code": code, "title": "Simulated failure", "message": "Simulated failure", "error_data": map[string]string{"details": "A failure of the simulator's."},
				"href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
			}}
		} else {
			out["pricing"] = map[string]any{"billable": true, "pricing_model": "PMP", "type": "regular", "category": "utility"}
		}
		s.mu.Lock()
		hook := s.hookOf(n)
		s.mu.Unlock()
		return s.callback(hook, n.Account, "messages", s.value(n, "statuses", out))
	}
}

// value is what the field messages tells of a number.
func (s *Simulator) value(n Number, kind string, what any) map[string]any {
	return map[string]any{
		"messaging_product": "whatsapp", "metadata": map[string]string{"display_phone_number": digits(n.Display), "phone_number_id": n.ID}, kind: []any{what},
	}
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// fault says what is wrong with a message that is not yet compared with anything.
func (o order) fault(n Number) fault {
	to := strings.TrimPrefix(o.To, "+")
	switch {
	case o.Product != "whatsapp":
		return invalid("messaging_product must be whatsapp")
	case o.To == "" && o.Recipient == "":
		return fault{131008, "Required parameter is missing", "to is missing"}
	case o.To != "" && (digits(to) != to || len(to) < 5 || len(to) > 15), o.Recipient != "" && !bsuid.MatchString(o.Recipient):
		return invalid("to is not a valid recipient")
	case to == digits(n.Display):
		return fault{131021, "Recipient cannot be sender", ""}
	case utf8.RuneCountInString(o.Opaque) > 512:
		return invalid("biz_opaque_callback_data has more than 512 characters")
	}
	switch o.Type {
	case "text":
		if o.Text == nil || o.Text.Body == "" || long(o.Text.Body, 4096) {
			return fault{100, "Invalid parameter", "text.body must have 1 to 4096 characters"}
		}
	case "image", "video", "audio", "document":
		return map[string]*file{"image": o.Image, "video": o.Video, "audio": o.Audio, "document": o.Document}[o.Type].fault(o.Type)
	case "location":
		if o.Location == nil || o.Location.Latitude == nil || o.Location.Longitude == nil {
			return fault{131008, "Required parameter is missing", "latitude and longitude are needed"}
		}
	case "template":
		if o.Template == nil || o.Template.Name == "" || o.Template.Language.Code == "" {
			return fault{131008, "Required parameter is missing", "template.name and template.language are needed"}
		}
	case "interactive":
		if o.Interactive == nil {
			return fault{131008, "Required parameter is missing", "interactive is missing"}
		}
		return o.Interactive.fault()
	default:
		return fault{131051, "Unsupported message type", ""}
	}
	return fault{}
}

func invalid(details string) fault { return fault{131009, "Parameter value is not valid", details} }

func long(s string, limit int) bool { return utf8.RuneCountInString(s) > limit }

func (f *file) fault(kind string) fault {
	if f == nil || f.ID == "" && f.Link == "" {
		return fault{131008, "Required parameter is missing", kind + " needs an id or a link"}
	}
	u, err := url.Parse(f.Link)
	switch {
	case f.Link != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http"):
		return invalid(kind + ".link is no URL")
	case f.Caption != "" && (kind == "audio" || long(f.Caption, 1024)):
		return invalid(kind + ".caption is not allowed or too long")
	}
	return fault{}
}

func (i interactive) fault() fault {
	limit := 1024
	if i.Type == "list" {
		limit = 4096
	}
	switch {
	case i.Body.Text == "" || long(i.Body.Text, limit):
		return invalid("interactive.body.text")
	case i.Header != nil && (i.Header.Text == "" || long(i.Header.Text, 60)), i.Footer != nil && long(i.Footer.Text, 60):
		return invalid("interactive.header or footer")
	}
	switch i.Type {
	case "button":
		return i.buttons()
	case "list":
		return i.list()
	case "cta_url":
		if p := i.Action.Parameters; i.Action.Name != "cta_url" || p.Text == "" || long(p.Text, 20) || p.URL == "" {
			return invalid("interactive.action.parameters")
		}
		return fault{}
	}
	return invalid("interactive.type")
}

func (i interactive) buttons() fault {
	ids, titles := map[string]bool{}, map[string]bool{}
	for _, b := range i.Action.Buttons {
		r := b.Reply
		if r.ID == "" || long(r.ID, 256) || strings.TrimSpace(r.ID) != r.ID || r.Title == "" || long(r.Title, 20) || ids[r.ID] || titles[r.Title] {
			return invalid("interactive.action.buttons: ids and titles must be unique and not too long")
		}
		ids[r.ID], titles[r.Title] = true, true
	}
	if n := len(i.Action.Buttons); n < 1 || n > 3 {
		return invalid("interactive.action.buttons must be 1 to 3")
	}
	return fault{}
}

func (i interactive) list() fault {
	rows, ids := 0, map[string]bool{}
	for _, s := range i.Action.Sections {
		if long(s.Title, 24) || s.Title == "" && len(i.Action.Sections) > 1 {
			return invalid("interactive.action.sections.title")
		}
		for _, r := range s.Rows {
			rows++
			if r.ID == "" || long(r.ID, 200) || ids[r.ID] || r.Title == "" || long(r.Title, 24) || long(r.Description, 72) {
				return invalid("interactive.action.sections.rows")
			}
			ids[r.ID] = true
		}
	}
	if n := len(i.Action.Sections); n < 1 || n > 10 || rows < 1 || rows > 10 || i.Action.Button == "" || long(i.Action.Button, 20) {
		return invalid("interactive.action")
	}
	return fault{}
}
