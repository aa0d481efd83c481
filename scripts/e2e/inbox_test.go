//go:build e2e

package e2e

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// agents share an inbox. The person's replies are unread until somebody read them, a conversation is one user's
// task, and its messages are read in both directions.
func TestAnInboxIsReadAssignedAndFollowed(t *testing.T) {
	t.Parallel()
	s := common.shared
	a, ch := ready(t, s, plan{Limit: 100})
	to := person()
	m := a.send(order(ch, to, text("Your order is ready"), "client_reference", "deal-7"))
	a.until(m.ID, 10*time.Second, "read", status("read"))
	path := "/v1/conversations/" + m.ConversationID
	look := func() conversation {
		return decode[conversation](t, a.call(t, http.MethodGet, path, nil), http.StatusOK)
	}
	if c := look(); c.UnreadCount != 0 || c.LastMessage == nil || c.LastMessage.ID != m.ID || c.LastMessage.Status != "read" {
		t.Errorf("before a reply: %+v", c)
	}
	for range 2 {
		s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(to), Text: unique("reply ")})
	}
	var c conversation
	wait(t, 5*time.Second, func() (bool, string) {
		c = look()
		return c.UnreadCount == 2, "two replies are unread"
	})
	if c.LastMessage.Direction != "inbound" || c.Read != nil || c.Assignee != nil {
		t.Errorf("with replies: %+v", c)
	}
	for _, filter := range []string{"channel_id=" + ch.ID, "recipient_id=" + c.RecipientID, "client_reference=deal-7"} {
		if all := pages[conversation](t, a.caller, "/v1/conversations?"+filter); len(all) != 1 || all[0].ID != c.ID || all[0].UnreadCount != 2 || all[0].LastMessage.ID != c.LastMessage.ID {
			t.Errorf("by %s: %+v", filter, all)
		}
	}
	taken := decode[conversation](t, a.call(t, http.MethodPut, path+"/assignee", map[string]any{"user_id": "user_2"}), http.StatusOK)
	if taken.Assignee == nil || taken.Assignee.UserID != "user_2" || taken.Assignee.AssignedBy != "user_1" {
		t.Errorf("assigned: %+v", taken)
	}
	if all := pages[conversation](t, a.caller, "/v1/conversations?assignee_id=user_2"); len(all) != 1 || all[0].ID != c.ID {
		t.Errorf("user_2 has %+v", all)
	}
	read := decode[conversation](t, a.call(t, http.MethodPost, path+"/read", map[string]any{"up_to_message_id": c.LastMessage.ID}), http.StatusOK)
	if read.UnreadCount != 0 || read.Read == nil || read.Read.UpToMessageID != c.LastMessage.ID || read.Read.ReadBy != "user_1" {
		t.Errorf("read: %+v", read)
	}
	back := decode[conversation](t, a.call(t, http.MethodPost, path+"/read", map[string]any{"up_to_message_id": m.ID}), http.StatusOK)
	if back.UnreadCount != 0 || back.Read == nil || back.Read.UpToMessageID != c.LastMessage.ID {
		t.Errorf("the marker went back: %+v", back)
	}

	// The agent waits for what comes next.
	history := func(token string) list[message] {
		at := "/v1/messages?page_size=2&conversation_id=" + c.ID
		if token != "" {
			at += "&page_token=" + url.QueryEscape(token)
		}
		return decode[list[message]](t, a.call(t, http.MethodGet, at, nil), http.StatusOK)
	}
	newest := history("")
	if older := history(newest.NextPageToken); len(older.Items) != 1 || older.Items[0].ID != m.ID {
		t.Errorf("older: %+v", older)
	}
	none := history(newest.PreviousPageToken)
	if len(none.Items) != 0 || none.PreviousPageToken != newest.PreviousPageToken {
		t.Errorf("newer, before there is anything: %+v", none)
	}
	s.inbound(t, inbound{SenderID: ch.sender(t), From: digits(to), Text: unique("another ")})
	wait(t, 5*time.Second, func() (bool, string) {
		next := history(none.PreviousPageToken)
		return len(next.Items) == 1 && next.Items[0].Direction == "inbound", "the next reply is found by the token"
	})
	if got := a.call(t, http.MethodDelete, path+"/assignee", nil); got.status != http.StatusNoContent {
		t.Errorf("%v", got)
	}
	if c := look(); c.Assignee != nil || c.UnreadCount != 1 {
		t.Errorf("at the end: %+v", c)
	}
}
