package proof

import (
	"fmt"
	"go/ast"
	"go/token"
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
	}, member)
}

// content passes through the hands of intake, the dispatcher, the webhook, the customer's own reads and
// the stores, and through no others.
func TestContentPassesThroughFewHands(t *testing.T) {
	t.Parallel()
	same(t, "has content in hand", project(t).users(holders), map[string]string{
		"functions/messages: intake.message":     "hashes it and puts it into the record",
		"shared/api: messageOf":                  "shows it to the customer",
		"functions/webhook: recorder.stop":       "is the whole reply a word by which a recipient opts out",
		"functions/dispatcher: attempt.open":     "checks the hash before the call",
		"functions/dispatcher: attempt.handOver": "hands it to the adapter",
		"functions/webhook: recorder.inbound":    "records a reply, with its hash",
		"shared/message: Store.Open":             "opens what the table holds",
		"shared/message: encode":                 "writes it to the table",
		"shared/provider/edna: Adapter.send":     "says it in edna's form",
	})
}

// what content says is taken apart only where it is read in, checked for whether the channel can
// carry it, put into the provider's form, and written down.
func TestWhatContentSaysIsTakenApartByFew(t *testing.T) {
	t.Parallel()
	same(t, "takes content apart", project(t).users(parts), map[string]string{
		"shared/content: Content.MarshalJSON":        "the form in which it is shown and kept",
		"shared/content: Content.UnmarshalJSON":      "the same way back",
		"shared/content: Content.SHA256":             "the hash",
		"shared/api: bindContent":                    "the request's JSON",
		"functions/webhook: recorder.stop":           "is the whole reply a word by which a recipient opts out: recorded, and nothing else",
		"functions/messages: intake.supported":       "refuses what the channel can't carry: length, and a name of a place",
		"shared/provider/edna: Adapter.whatsapp":     "edna's form",
		"shared/provider/edna: Adapter.fillTemplate": "the values of an approved template",
	})
}

// nothing decides by what content says. The exceptions ask whether the channel can carry it exactly, and
// refuse if it can't; each is listed with what is asked.
func TestNoDecisionIsMadeByWhatContentSays(t *testing.T) {
	t.Parallel()
	allowed := map[string]string{
		"functions/webhook: recorder.stop: shared/recipient.IsStop":                         "a recipient's STOP (R-9.7): the reply is stored as every other, nothing is sent",
		"functions/messages: intake.supported: unicode/utf8.RuneCountInString":              "the channel's greatest length",
		"functions/messages: intake.supported: compares Location.Name":                      "the channel carries no name of a place",
		"shared/provider/edna: Adapter.whatsapp: shared/provider/edna.checkText":            "empty, no UTF-8, too long: refused",
		"shared/provider/edna: Adapter.whatsapp: unicode/utf8.ValidString":                  "no UTF-8: refused",
		"shared/provider/edna: Adapter.whatsapp: compares Location.Name":                    "edna carries no name of a place",
		"shared/provider/edna: Adapter.whatsapp: compares Content.Location":                 "is it there",
		"shared/provider/edna: Adapter.whatsapp: compares Content.Template":                 "is it there",
		"shared/provider/edna: Adapter.fillTemplate: shared/provider/edna.fill":             "puts the values into an approved template",
		"shared/provider/edna: Adapter.whatsapp: shared/provider/edna.Adapter.fillTemplate": "puts the values into an approved template",
		"shared/api: bindContent: reflect.ValueOf":                                          "the request's JSON",
		"shared/api: bindContent: shared/api.within":                                        "degrees of latitude and longitude",
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
	same(t, "decides by content", found, allowed)
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
