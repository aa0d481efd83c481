package proof

import (
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// holders are the fields that carry content from one part of the code to the next.
func holders(member string) bool {
	return slices.Contains([]string{
		"shared/message.Message.Content", "shared/provider.Message.Content", "shared/provider.Reply.Content", "shared/api.SendMessage.Content", "shared/api.Message.Content",
		"shared/content.Content.SHA256", "shared/content.Content.MarshalJSON", "shared/content.Content.UnmarshalJSON",
	}, member)
}

// parts are what content says, in any of its forms. Type and Name of a template's approval are no part of it: they tell
// the form.
func parts(member string) bool {
	return slices.Contains([]string{
		"shared/content.Content.Text", "shared/content.Content.Template", "shared/content.Content.Location", "shared/content.Content.Media", "shared/content.Content.Payload", "shared/content.Content.Raw",
		"shared/content.Template.Variables", "shared/content.Location.Latitude", "shared/content.Location.Longitude", "shared/content.Location.Name", "shared/content.Location.Address",
		"shared/content.Media.URL", "shared/content.Media.Filename", "shared/content.Media.Caption",
		"shared/content.Content.Interactive", "shared/content.Interactive.Text", "shared/content.Interactive.Header", "shared/content.Interactive.Footer", "shared/content.Interactive.Buttons", "shared/content.Interactive.List",
		"shared/content.Button.Title", "shared/content.Button.ID", "shared/content.Button.URL", "shared/content.Button.Phone", "shared/content.List.Button", "shared/content.List.Sections", "shared/content.Section.Title",
		"shared/content.Section.Rows", "shared/content.Row.ID", "shared/content.Row.Title", "shared/content.Row.Description",
		"shared/content.Content.Email", "shared/content.Email.Subject", "shared/content.Email.Text", "shared/content.Email.HTML",
	}, member)
}

// saysIt reports whether a function puts content into a provider's form, or compares its form and length with what the
// provider can carry. That is what adapters and the table of capabilities are for. That they change nothing is shown by
// the conformance kit, which every adapter passes: every form arrives as it is, or is refused without a call.
func saysIt(who string) bool {
	path, function, _ := strings.Cut(who, ": ")
	adapter := strings.HasPrefix(path, "shared/provider/") && strings.Count(path, "/") == 2
	return adapter || path == "shared/provider" && (strings.HasPrefix(function, "checker.") || strings.HasPrefix(function, "Capabilities.Check"))
}

// others leaves out those whose work it is to say content in a provider's form.
func others(found map[string][]string) map[string][]string {
	maps.DeleteFunc(found, func(who string, _ []string) bool { return saysIt(who) })
	return found
}

// content passes through the hands of intake, the dispatcher, the webhook, the customer's own reads and
// the stores, and through no others.
func TestContentPassesThroughFewHands(t *testing.T) {
	t.Parallel()
	same(t, "has content in hand", others(project(t).users(holders)), map[string]string{
		"functions/messages: intake.message":     "hashes it and puts it into the record",
		"shared/api: messageOf":                  "shows it to the customer",
		"functions/notifier: Notifier.body":      "leaves it out of an event that is too long with it",
		"functions/webhook: recorder.stop":       "is the whole reply a word by which a recipient opts out",
		"functions/dispatcher: attempt.open":     "checks the hash before the call",
		"functions/dispatcher: attempt.handOver": "hands it to the adapter",
		"functions/webhook: recorder.inbound":    "records a reply, with its hash",
		"shared/message: Store.Open":             "opens what the table holds",
		"shared/message: encode":                 "writes it to the table",
	})
}

// what content says is taken apart only where it is read in, checked for whether the channel can
// carry it, put into the provider's form, and written down.
func TestWhatContentSaysIsTakenApartByFew(t *testing.T) {
	t.Parallel()
	same(t, "takes content apart", others(project(t).users(parts)), map[string]string{
		"shared/content: Content.MarshalJSON":   "the form in which it is shown and kept",
		"shared/content: Content.UnmarshalJSON": "the same way back",
		"shared/content: Content.SHA256":        "the hash",
		"shared/api: bindContent":               "the request's JSON",
		"functions/webhook: recorder.stop":      "is the whole reply a word by which a recipient opts out: recorded, and nothing else",
	})
}

// nothing decides by what content says. The exceptions ask whether the channel can carry it exactly, and
// refuse if it can't; each is listed with what is asked.
func TestNoDecisionIsMadeByWhatContentSays(t *testing.T) {
	t.Parallel()
	allowed := map[string]string{
		"functions/webhook: recorder.stop: shared/recipient.IsStop": "a recipient's STOP (R-9.7): the reply is stored as every other, nothing is sent",
		"shared/api: bindContent: reflect.ValueOf":                  "the request's JSON",
		"shared/api: bindContent: shared/api.within":                "degrees of latitude and longitude",
	}
	found := map[string][]string{}
	note := func(p *pkg, function, what, member string) {
		if p.path == "shared/content" {
			return // it knows the forms
		}
		who := fmt.Sprintf("%s: %s: %s", p.path, function, what)
		found[who] = append(found[who], member)
	}
	project(t).each(func(p *pkg, function string, n ast.Node) {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if slices.Contains([]token.Token{token.EQL, token.NEQ, token.LSS, token.GTR, token.LEQ, token.GEQ}, n.Op) {
				for _, side := range []ast.Expr{n.X, n.Y} {
					for _, m := range p.direct(side) {
						note(p, function, "compares "+strings.TrimPrefix(m, "shared/content."), m)
					}
				}
			}
		case *ast.SwitchStmt:
			for _, m := range p.direct(n.Tag) {
				note(p, function, "switches by "+strings.TrimPrefix(m, "shared/content."), m)
			}
		case *ast.RangeStmt:
			for _, m := range p.direct(n.X) {
				note(p, function, "goes through "+strings.TrimPrefix(m, "shared/content."), m)
			}
		case *ast.IndexExpr:
			for _, m := range append(p.direct(n.X), p.direct(n.Index)...) {
				note(p, function, "looks into "+strings.TrimPrefix(m, "shared/content."), m)
			}
		case *ast.SliceExpr:
			for _, m := range p.direct(n.X) {
				note(p, function, "cuts "+strings.TrimPrefix(m, "shared/content."), m)
			}
		case *ast.CallExpr:
			for _, a := range n.Args {
				for _, m := range p.direct(a) {
					note(p, function, p.callee(n), m)
				}
			}
		}
	})
	same(t, "decides by content", others(found), allowed)
}

// direct gives the parts of content that an expression is, looking through brackets, & and *.
func (p *pkg) direct(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return p.direct(e.X)
	case *ast.UnaryExpr:
		return p.direct(e.X)
	case *ast.StarExpr:
		return p.direct(e.X)
	case *ast.SelectorExpr:
		if m := p.member(e); parts(m) {
			return []string{m}
		}
	}
	return nil
}

// callee names what is called.
func (p *pkg) callee(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.SelectorExpr:
		return p.member(f)
	case *ast.Ident:
		if o := p.info.Uses[f]; o != nil && o.Pkg() != nil {
			return strings.TrimPrefix(o.Pkg().Path(), module) + "." + o.Name()
		}
		return f.Name
	}
	return "a function value"
}

// the operator's function has neither content nor messages in hand.
func TestOperatorsFunctionTouchesNoMessage(t *testing.T) {
	t.Parallel()
	for who, members := range project(t).users(func(m string) bool {
		return strings.HasPrefix(m, "shared/message.") || strings.HasPrefix(m, "shared/content.") || strings.HasPrefix(m, "shared/api.Message")
	}) {
		if strings.HasPrefix(who, "functions/operator:") {
			t.Errorf("%s uses %s", who, strings.Join(members, ", "))
		}
	}
}

// one strict decoder reads the requests of customers and operators: a field that nobody knows is refused,
// so nothing is kept that was not entered under its name.
func TestRequestsAreReadByTheStrictDecoderOnly(t *testing.T) {
	t.Parallel()
	found := project(t).users(func(m string) bool {
		return slices.Contains([]string{"encoding/json.NewDecoder", "encoding/json.Decoder.Decode", "io.ReadAll", "net/http.Request.Body", "net/http.Request.ParseForm", "net/http.Request.FormValue"}, m)
	})
	for who, members := range found {
		if strings.HasPrefix(who, "functions/") && !strings.HasPrefix(who, "functions/webhook:") {
			t.Errorf("%s reads a request by %s", who, strings.Join(members, ", "))
		}
	}
}
