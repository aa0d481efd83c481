package proof

import (
	"go/types"
	"testing"
)

// fields are the fields of a struct of the project.
func (s *source) fields(t *testing.T, path, name string) []string {
	t.Helper()
	for _, p := range s.pkgs {
		if p.path != path {
			continue
		}
		if o := p.types.Scope().Lookup(name); o != nil {
			if st, ok := o.Type().Underlying().(*types.Struct); ok {
				var out []string
				for i := range st.NumFields() {
					out = append(out, st.Field(i).Name())
				}
				return out
			}
		}
	}
	t.Fatalf("there is no struct %s.%s", path, name)
	return nil
}

// what is kept of a message, and where each of it comes from: the request, the token, the reply, the provider's
// report, or our own work. Nothing is looked up about anybody: a field with another origin has no place here.
func TestWhatIsKeptOfAMessageWasEnteredOrHappened(t *testing.T) {
	t.Parallel()
	origin := map[string]string{
		"AccountID": "token: account_id", "CreatedBy": "token: sub",
		"ChannelID": "request: channel_id; reply: the callback's URL", "Address": "request: to; reply: who wrote", "Content": "request: content; reply: what was written",
		"ClientReference": "request: client_reference", "OnLimit": "request: on_limit", "ExpiresAt": "request: expires_at", "SendAt": "request: send_at", "ReplyTo": "request: reply_to; reply: what it answers",
		"ID": "ours", "KeptFor": "account: retention_days", "ErasedAt": "ours", "Direction": "ours", "ProviderID": "ours: the channel's", "ContentSHA256": "ours: the content's hash", "RulesVersion": "ours: what was in force",
		"Outcome": "ours", "Claim": "ours", "Fence": "ours", "Attempts": "ours", "Spared": "ours", "TransferCompletedAt": "ours", "ProviderVersion": "ours: the registry", "HeldReason": "ours", "HeldBy": "ours: the restriction", "HeldLease": "ours", "ReleaseAt": "ours", "NotBefore": "ours",
		"OutcomeError": "ours", "Steps": "ours", "External": "ours", "replyNo": "ours: counted", "sealed": "ours: address and content, sealed",
		"Report": "provider: status", "ProviderMessageID": "provider: its id", "ReportedError": "provider: status",
	}
	matches(t, "message.Message", project(t).fields(t, "shared/message", "Message"), origin)
}

func matches(t *testing.T, what string, fields []string, origin map[string]string) {
	t.Helper()
	for _, f := range fields {
		if _, ok := origin[f]; !ok {
			t.Errorf("%s keeps %s: say where it comes from", what, f)
		}
		delete(origin, f)
	}
	for f := range origin {
		t.Errorf("%s has no %s any more: take it off", what, f)
	}
}

// what is kept of a recipient is what the account entered, and the address of whoever it wrote to or who wrote
// to it.
func TestWhatIsKeptOfARecipientWasEntered(t *testing.T) {
	t.Parallel()
	matches(t, "recipient.Recipient", project(t).fields(t, "shared/recipient", "Recipient"), map[string]string{
		"AccountID": "token: account_id", "CreatedBy": "token: sub", "Addresses": "request: addresses; or of a message", "Name": "request: name",
		"ID": "ours", "Origin": "ours: entered, or of a conversation", "CreatedAt": "ours", "UpdatedAt": "ours", "version": "ours",
	})
	matches(t, "recipient.Consent", project(t).fields(t, "shared/recipient", "Consent"), map[string]string{
		"ChannelID": "request: channel_id", "Purpose": "request: purpose", "Status": "request: status", "Source": "request: source", "ObtainedAt": "request: obtained_at", "ProofReference": "request: proof_reference",
	})
}
