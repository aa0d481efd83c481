//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestAChoiceIsSentAndItsAnswerComesBack: media, buttons and a list reach the provider in its form, and what the person
// presses, chooses and sends is read as it was meant.
func TestAChoiceIsSentAndItsAnswerComesBack(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	to := person()
	send := func(what content) (message, string) {
		t.Helper()
		m := a.send(order(ch, to, what))
		a.until(m.ID, 10*time.Second, "read", status("read"))
		got := s.raw(t, http.MethodGet, s.sim+"/edna/_sim/calls?path=cascade/schedule&request_id="+m.ID, nil, nil)
		var told struct {
			Calls []struct {
				Request struct {
					Content struct{ WhatsappContent json.RawMessage }
				}
			}
		}
		if err := json.Unmarshal(got.body, &told); err != nil || len(told.Calls) != 1 {
			t.Fatalf("%v in %d calls", err, len(told.Calls))
		}
		return m, string(told.Calls[0].Request.Content.WhatsappContent)
	}
	_, form := send(content{Type: "media", Kind: "document", URL: "https://files.example/1", Filename: "счёт.pdf"})
	if want := `{"contentType":"DOCUMENT","attachment":{"url":"https://files.example/1","name":"счёт.pdf"}}`; form != want {
		t.Errorf("a document went as %s", form)
	}
	list := map[string]any{"button": "Show", "sections": []any{map[string]any{"rows": []any{map[string]any{"id": "t-10", "title": "10:00"}}}}}
	choose, fine := "Choose", "Fine?"
	_, form = send(content{Type: "interactive", Text: &choose, List: list})
	if want := `{"contentType":"LIST_PICKER","text":"Choose","listPicker":{"title":"Show","sections":[{"items":[{"identifier":"t-10","title":"10:00"}]}]}}`; form != want {
		t.Errorf("a list went as %s", form)
	}
	m, form := send(content{Type: "interactive", Text: &fine, Buttons: []any{map[string]any{"title": "Yes", "id": "yes:1"}}})
	if want := `{"contentType":"BUTTON","text":"Fine?","keyboard":{"rows":[{"buttons":[{"text":"Yes","buttonType":"QUICK_REPLY","payload":"yes:1"}]}]}}`; form != want {
		t.Errorf("buttons went as %s", form)
	}

	seen := map[string]bool{}
	for _, c := range []struct{ given, want string }{
		{`{"type":"BUTTON","text":"Yes","payload":"yes:1"}`, "text|Yes|yes:1||||0"},
		{`{"type":"LIST_PICKER","text":null,"items":[{"identifier":"t-10","title":"10:00","subtitle":null}]}`, "text|10:00|t-10||||0"},
		{`{"type":"AUDIO","text":null,"attachment":{"url":"https://files.example/2","mimeType":"audio/ogg","size":700}}`, "media|||audio|https://files.example/2|audio/ogg|700"},
	} {
		s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(to), Content: json.RawMessage(c.given), ReplyTo: m.ID})
		var reply message
		wait(t, 5*time.Second, func() (bool, string) {
			for _, x := range a.messages("conversation_id=" + m.ConversationID) {
				if x.Direction == "inbound" && !seen[x.ID] {
					seen[x.ID] = true
					reply = a.message(x.ID)
					return true, ""
				}
			}
			return false, "no reply in the conversation"
		})
		r, text := reply.Content, ""
		if r.Text != nil {
			text = *r.Text
		}
		if got := fmt.Sprintf("%s|%s|%s|%s|%s|%s|%d", r.Type, text, r.Payload, r.Kind, r.URL, r.MIMEType, r.SizeBytes); got != c.want || reply.ReplyTo != m.ID {
			t.Errorf("%s was read as %s, an answer to %s", c.given, got, reply.ReplyTo)
		}
	}
}

// template is one as the provider tells of it.
type template struct {
	ID       string `json:"provider_template_id"`
	Name     string
	Language string
	Status   string
	Category string
	Text     string

	Variables []string
}

type templates struct {
	Items    []template
	SyncedAt time.Time `json:"synced_at"`
	Next     string    `json:"next_page_token"`
}

func (l templates) status(id string) string {
	for _, x := range l.Items {
		if x.ID == id {
			return x.Status
		}
	}
	return "not there"
}

// TestATemplateCanBeSentOnceItIsApproved: the list of templates is the provider's, is kept for a while, and is asked for
// anew when the provider tells of a change.
func TestATemplateCanBeSentOnceItIsApproved(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	list := func() templates {
		t.Helper()
		return decode[templates](t, a.call(t, http.MethodGet, "/v1/channels/"+ch.ID+"/templates", nil), http.StatusOK)
	}
	look := func(status string) {
		t.Helper()
		body := fmt.Sprintf(`{"sender_id":%d,"id":102,"status":%q}`, ch.sender(t), status)
		if got := s.raw(t, http.MethodPut, s.sim+"/edna/_sim/templates", nil, []byte(body)); got.status != http.StatusOK {
			t.Fatalf("let WhatsApp look at a template: %v", got)
		}
	}
	first := list()
	if first.status("102") != "pending" || first.status("98") != "approved" || first.status("103") != "rejected" || first.SyncedAt.IsZero() {
		t.Fatalf("got %+v", first)
	}
	if again := list(); !again.SyncedAt.Equal(first.SyncedAt) {
		t.Errorf("it was asked for again at once, at %v and %v", first.SyncedAt, again.SyncedAt)
	}
	look("APPROVED")
	t.Cleanup(func() { look("PENDING") })
	if then := list(); then.status("102") != "approved" || !then.SyncedAt.After(first.SyncedAt) {
		t.Errorf("after its approval: %s, asked for at %v and %v", then.status("102"), first.SyncedAt, then.SyncedAt)
	}
	m := a.send(order(ch, person(), content{Type: "template", Name: "not_yet", Language: "en"}))
	a.until(m.ID, 10*time.Second, "read", status("read"))

	// A reader of pages sees each once.
	path, all := "/v1/channels/"+ch.ID+"/templates?page_size=4", 0
	for next := path; next != ""; {
		page := decode[templates](t, a.call(t, http.MethodGet, next, nil), http.StatusOK)
		if all, next = all+len(page.Items), ""; page.Next != "" {
			next = path + "&page_token=" + page.Next
		}
	}
	if all != len(first.Items) {
		t.Errorf("%d in pages, %d in one", all, len(first.Items))
	}
}
