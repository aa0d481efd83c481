package proof

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// two places speak to the outside, over TLS: the HTTP client of the adapters, and the one that sends
// accounts' events to the webhook endpoints that they registered. Others that are made in the code belong
// to the AWS SDK, and to the API's callers.
func TestTwoHTTPClientsSpeakToTheOutside(t *testing.T) {
	t.Parallel()
	s := project(t)
	made := map[string][]string{}
	s.each(func(p *pkg, function string, n ast.Node) {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return
		}
		if named, ok := plain(p.info.Types[lit].Type).(*types.Named); ok && named.Obj().Pkg() != nil {
			name := named.Obj().Pkg().Path() + "." + named.Obj().Name()
			if slices.Contains([]string{"net/http.Client", "net/http.Transport", "net.Dialer", "net.Resolver", "net/http/httputil.ReverseProxy"}, name) {
				who := p.path + ": " + function
				made[who] = append(made[who], name)
			}
		}
	})
	same(t, "makes a client", made, map[string]string{
		"shared/provider/httpclient: New": "the adapters' client",
		"shared/delivery: NewSender":      "to webhook endpoints, on the public Internet only",
		"shared/client: New":              "the API's callers', which no function uses",
	})

	calls := s.users(func(m string) bool {
		return slices.Contains([]string{
			"net/http.Client.Do", "net/http.Client.Get", "net/http.Client.Head", "net/http.Client.Post", "net/http.Client.PostForm", "net/http.RoundTripper.RoundTrip", "net/http.Transport.RoundTrip",
			"net/http.Get", "net/http.Head", "net/http.Post", "net/http.PostForm", "net/http.DefaultClient", "net/http.DefaultTransport",
		}, m) || strings.HasPrefix(m, "net.Dial") || strings.HasPrefix(m, "net.Lookup") || strings.HasPrefix(m, "crypto/tls.Dial") || strings.HasPrefix(m, "net/smtp.") || strings.HasPrefix(m, "syscall.Connect")
	})
	same(t, "calls the outside", calls, map[string]string{
		"shared/provider/httpclient: New": "the connections of that client", "shared/provider/httpclient: Caller.Do": "refuses all but https",
		"shared/delivery: NewSender": "the connections of that client", "shared/delivery: Sender.Send": "an event, to its account's own endpoint",
		"shared/client: Client.try": "the API, for its callers",
	})
	for who := range s.users(func(m string) bool { return strings.HasPrefix(m, "shared/client.") }) {
		if !strings.HasPrefix(who, "shared/client: ") {
			t.Errorf("%s uses the Go client, which is for the API's callers", who)
		}
	}
}

// nobody but an adapter makes or uses that client.
func TestAdaptersAloneUseTheClient(t *testing.T) {
	t.Parallel()
	for who, members := range project(t).users(func(m string) bool { return strings.HasPrefix(m, "shared/provider/httpclient.Caller") }) {
		if !strings.HasPrefix(who, "shared/provider/") {
			t.Errorf("%s uses %s", who, strings.Join(members, ", "))
		}
	}
	for who := range project(t).users(func(m string) bool { return m == "shared/provider/httpclient.New" }) {
		if !strings.HasPrefix(who, "shared/provider/") {
			t.Errorf("%s makes a client for providers", who)
		}
	}
}

// one place in the code hands a message to a provider: the dispatcher's attempt.
func TestOnePlaceHandsMessagesToAProvider(t *testing.T) {
	t.Parallel()
	sends := project(t).users(func(m string) bool {
		return m == "shared/provider.Adapter.Send" || strings.HasPrefix(m, "shared/provider/") && strings.HasSuffix(m, ".Adapter.Send") || m == "functions/dispatcher.Sender.Send"
	})
	same(t, "hands a message over", sends, map[string]string{"functions/dispatcher: attempt.call": "after the claim"})
}

// one place makes an outbound message out of a request: intake. Replies are made by the webhook.
func TestMessagesAreMadeByIntakeAndTheWebhookOnly(t *testing.T) {
	t.Parallel()
	made := map[string][]string{}
	project(t).each(func(p *pkg, function string, n ast.Node) {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || len(lit.Elts) == 0 {
			return
		}
		if named, ok := plain(p.info.Types[lit].Type).(*types.Named); ok && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == module+"shared/message" && named.Obj().Name() == "Message" {
			who := p.path + ": " + function
			made[who] = append(made[who], "message.Message{…}")
		}
	})
	same(t, "makes a message", made, map[string]string{
		"functions/messages: intake.message":  "a request of a user",
		"functions/webhook: recorder.inbound": "a reply of a recipient",
		"shared/message: decode":              "what was stored",
	})
	queued := project(t).users(func(m string) bool {
		if strings.HasPrefix(m, "shared/delivery.") || strings.HasPrefix(m, "functions/notifier.") || strings.HasPrefix(m, "shared/release.") || strings.HasPrefix(m, "shared/recipient.") {
			return false // jobs that release what is held, that erase, and that send events
		}
		_, method, _ := strings.Cut(m, "Queue.")
		return slices.Contains([]string{"Send", "SendLater", "SendBatch"}, method)
	})
	same(t, "puts a reference into the queue", queued, map[string]string{
		"functions/messages: intake.accept":      "of the message that it accepts",
		"functions/messages: batch.queue":        "of messages that are accepted together",
		"functions/messages: Handler.reschedule": "of a message that is moved to a time that is near, and was accepted before",
		"functions/quotareset: Scheduled.queue":  "of messages whose time comes, and were accepted before",
		"functions/quotareset: releasing.flush":  "of messages that are held, and were accepted before",
		"shared/queue: Queue.SendLater":          "the queue itself",
	})
}

// no function writes a file, starts a program or opens a socket of its own.
func TestNothingLeavesByFilesOrPrograms(t *testing.T) {
	t.Parallel()
	for who, members := range project(t).users(func(m string) bool {
		return slices.Contains([]string{"os.Create", "os.CreateTemp", "os.WriteFile", "os.OpenFile", "os.Mkdir", "os.MkdirAll", "os.MkdirTemp", "net.Listen", "net.ListenPacket"}, m) || strings.HasPrefix(m, "os/exec.") || strings.HasPrefix(m, "plugin.") || strings.HasPrefix(m, "net/smtp.")
	}) {
		t.Errorf("%s uses %s", who, strings.Join(members, ", "))
	}
}

// the library that reads letters could send some too. Nothing of it is used but what reads.
func TestTheLibraryForLettersOnlyReads(t *testing.T) {
	t.Parallel()
	const library = "github.com/jhillyerd/enmime/v2."
	read := []string{
		"NewParser", "DisableTextConversion", "DisableCharacterDetection", "MinCharsetDetectRunes", "Parser.ReadEnvelope", "ErrorPlainTextFromHTML", "Error.Name",
		"Envelope.GetHeader", "Envelope.Root", "Part", "Part.DepthMatchAll", "Part.Errors", "Part.ContentType", "Part.Disposition", "Part.FileName", "Part.FirstChild", "Part.Content",
	}
	used := project(t).users(func(m string) bool { return strings.HasPrefix(m, library) })
	if len(used) == 0 {
		t.Error("the library is not used, or not found")
	}
	for who, members := range used {
		for _, m := range members {
			if !slices.Contains(read, strings.TrimPrefix(m, library)) {
				t.Errorf("%s uses %s", who, m)
			}
		}
	}
}

// nothing of the local stack, of the simulators or of tests is in a function.
func TestFunctionsHaveNothingOfTheLocalStack(t *testing.T) {
	t.Parallel()
	s := project(t)
	n := 0
	for path, deps := range s.deps {
		if !strings.HasPrefix(path, "functions/") {
			continue
		}
		n++
		for _, d := range deps {
			if own, ok := strings.CutPrefix(d, module); ok && !deployed(own) {
				t.Errorf("%s needs %s", path, own)
			}
			if d == "net/smtp" && slices.Contains(deps, "github.com/jhillyerd/enmime/v2") {
				continue // see TestTheLibraryForLettersOnlyReads: what would use it is not linked
			}
			if slices.Contains([]string{"net/smtp", "testing", "plugin", "pgregory.net/rapid", "github.com/go-telegram/bot"}, d) {
				t.Errorf("%s needs %s", path, d)
			}
		}
	}
	if n < 7 {
		t.Errorf("%d functions were looked at", n)
	}
}

// which adapter speaks for a channel is what the registry's entry named, which the channel keeps. Who looked for
// it by the provider's id would not find the adapter of a provider that was added at run time.
func TestAnAdapterIsFoundByWhatItsChannelNames(t *testing.T) {
	t.Parallel()
	found := 0
	project(t).each(func(p *pkg, function string, n ast.Node) {
		look, ok := n.(*ast.IndexExpr)
		if !ok || !strings.HasPrefix(p.path, "functions/") {
			return
		}
		kept, ok := under(p.info.TypeOf(look.X)).(*types.Map)
		if !ok || !strings.HasSuffix(kept.Elem().String(), "provider.Adapter") && !strings.HasSuffix(kept.Elem().String(), "provider.Capabilities") {
			return
		}
		found++
		call, ok := look.Index.(*ast.CallExpr)
		if ok {
			sel, isSel := call.Fun.(*ast.SelectorExpr)
			ok = isSel && sel.Sel.Name == "AdapterID"
		}
		if !ok {
			t.Errorf("%s: %s looks for an adapter by something else than AdapterID", p.path, function)
		}
	})
	if found < 10 {
		t.Errorf("only %d places that look for an adapter were found", found)
	}
}

// a type of channel is data of a provider's entry. The code knows none by name, outside of its adapter.
func TestNoTypeOfChannelIsKnownByName(t *testing.T) {
	t.Parallel()
	names := []string{"whatsapp", "telegram", "viber", "messenger", "instagram", "sms", "email", "webchat"}
	project(t).each(func(p *pkg, function string, n ast.Node) {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING || strings.HasPrefix(p.path, "shared/provider/") && p.path != "shared/provider/registry" {
			return
		}
		if s, err := strconv.Unquote(lit.Value); err == nil && slices.Contains(names, s) && !(s == "email" && (function == "deliverable" || p.path == "shared/content" || p.path == "shared/api")) { // a kind of address, and a form of content
			t.Errorf("%s: %s knows %q", p.path, function, s)
		}
	})
}
