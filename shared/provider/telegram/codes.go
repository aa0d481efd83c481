package telegram

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// refusal sorts an error answer. Telegram's error_code is the status of HTTP; what it means is told by the description
// alone, in words that are compared and never passed on: they can quote the message.
func (a *Adapter) refusal(answer httpclient.Answer, r reply) *provider.Error {
	e := httpclient.Refusal(answer, a.now())
	switch answer.Status {
	case http.StatusUnauthorized:
		return badToken(e.ProviderCode)
	case http.StatusForbidden:
		// It is about the chat: a wrong token is answered with 401.
		e.Kind, e.Code, e.Fault = provider.Permanent, "provider_refused", provider.FaultRecipient
		e.Detail = "the bot may not write to this chat"
	case http.StatusTooManyRequests:
		// The header says the same.
		told := min(max(r.Parameters.RetryAfter, 0), int64(httpclient.MaxRetryAfter/time.Second))
		e.RetryAfter = max(e.RetryAfter, time.Duration(told)*time.Second)
	}
	if e.Kind != provider.Permanent {
		return e
	}
	_, said, _ := strings.Cut(r.Description, ": ")
	if constant(said) {
		e.ProviderCode = strconv.Itoa(answer.Status) + " " + said
	}
	for _, m := range meanings() {
		if m.is(said) {
			e.Code, e.Fault, e.Detail, e.OptedOut = m.code, m.fault, m.detail, m.optedOut
			return e
		}
	}
	return e
}

// constant tells the server's own codes, for example BUTTON_DATA_INVALID, from sentences.
func constant(s string) bool {
	return len(s) <= 64 && strings.Contains(s, "_") && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}

// meaning is what descriptions that begin so mean to a customer. They are those of the API's server, whose source is
// public (tdlib/telegram-bot-api, Client.cpp); what is written in capitals comes from behind it.
type meaning struct {
	begins   []string
	code     string
	fault    provider.Fault
	detail   string
	optedOut bool
}

func (m meaning) is(said string) bool {
	for _, b := range m.begins {
		if len(said) >= len(b) && strings.EqualFold(said[:len(b)], b) {
			return true
		}
	}
	return false
}

func meanings() []meaning {
	return []meaning{
		{[]string{"bot was blocked by the user", "USER_IS_BLOCKED"}, "provider_refused", provider.FaultRecipient, "the recipient has blocked the bot", true},
		{[]string{"bot was kicked from"}, "provider_refused", provider.FaultRecipient, "the bot was removed from the group", true},
		{[]string{"user is deactivated", "INPUT_USER_DEACTIVATED"}, "recipient_invalid", provider.FaultRecipient, "the recipient has left Telegram", false},
		{
			[]string{"bot can't initiate conversation with a user", "chat not found", "PEER_ID_INVALID", "user not found", "chat_id is empty"},
			"recipient_invalid", provider.FaultRecipient, "Telegram has no chat of this id with the bot: the recipient must start the bot first", false,
		},
		{[]string{"bot can't send messages to bots"}, "recipient_invalid", provider.FaultCustomer, "the recipient is a bot", false},
		{[]string{"bot is not a member of"}, "recipient_invalid", provider.FaultRecipient, "the bot is not in this group", false},
		{[]string{"group chat was upgraded"}, "recipient_invalid", provider.FaultRecipient, "the group has another id by now, under which it writes", false},
		{
			[]string{"not enough rights", "need administrator rights", "have no rights to send", "CHAT_WRITE_FORBIDDEN", "CHAT_SEND_", "CHAT_RESTRICTED", "TOPIC_CLOSED"},
			"provider_refused", provider.FaultRecipient, "the chat does not let the bot send this", false,
		},
		{
			[]string{"message text is empty", "text must be non-empty"},
			"content_not_supported", provider.FaultCustomer, "Telegram takes no text that is empty or has nothing but blanks", false,
		},
		{
			[]string{"message is too long", "message caption is too long", "MESSAGE_TOO_LONG", "MEDIA_CAPTION_TOO_LONG"},
			"content_not_supported", provider.FaultCustomer, "the text is longer than Telegram takes", false,
		},
		{
			[]string{"message to be replied not found", "message to reply not found", "replied message not found", "reply message not found"},
			"provider_refused", provider.FaultCustomer, "the message that is answered is no longer in the chat", false,
		},
		{
			[]string{"BUTTON_", "inline keyboard button", "reply markup is too long", "REPLY_MARKUP_", "text buttons are unallowed"},
			"provider_refused", provider.FaultCustomer, "Telegram does not take the buttons: a URL must be one that it can open, and there are bounds to their number and length", false,
		},
		{
			[]string{
				"wrong HTTP URL specified", "failed to get HTTP URL content", "wrong type of the web page content", "wrong file identifier/HTTP URL specified",
				"wrong remote file identifier specified", "invalid file HTTP URL specified", "can't upload file by URL", "file is too big",
				"IMAGE_PROCESS_FAILED", "PHOTO_", "WEBPAGE_", "EXTERNAL_URL_INVALID", "VIDEO_", "AUDIO_", "DOCUMENT_INVALID",
			},
			"provider_refused", provider.FaultCustomer,
			"Telegram could not fetch the file at its URL, or does not take a file of this kind or size by URL", false,
		},
	}
}
