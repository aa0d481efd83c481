package emailses

import (
	"context"
	"encoding/json"
	"net/http"
	"net/mail"
	"regexp"
	"strings"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// sendRequest is the body of SES's SendEmail. The recipient stands outside of the letter too: that is where SES sends it.
type sendRequest struct {
	FromEmailAddress     string
	Destination          destination
	ConfigurationSetName string `json:",omitempty"`
	EmailTags            []pair
	Content              sendContent
}

type destination struct{ ToAddresses []string }

type pair struct{ Name, Value string }

type sendContent struct {
	Raw      *rawContent      `json:",omitempty"`
	Template *templateContent `json:",omitempty"`
}

type rawContent struct{ Data []byte }

type templateContent struct {
	TemplateName string
	TemplateData string
	Headers      []pair `json:",omitempty"`
}

// tagMessage is the name of the tag that holds our id of a message: SES's events repeat a message's tags. SES takes letters,
// digits, hyphens and underscores in a tag, and 256 of them.
const tagMessage = "message_id"

var tagForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// Send hands one letter to SES. A nil error means that SES took it; what becomes of it is told by events.
func (a *Adapter) Send(ctx context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, error) {
	receipt, err := a.send(ctx, ch, m)
	if err != nil {
		return provider.Receipt{}, err
	}
	return receipt, nil
}

func (a *Adapter) send(ctx context.Context, ch provider.Channel, m provider.Message) (provider.Receipt, *provider.Error) {
	if mismatch := Capabilities().Check(m.Content); mismatch != nil {
		return provider.Receipt{}, mismatch.Refusal()
	}
	acc, fail := accountOf(ch.Credentials)
	if fail != nil {
		return provider.Receipt{}, fail
	}
	if !address(m.To) {
		return provider.Receipt{}, invalidRecipient("the recipient's address is none that the provider takes: one address of ASCII characters")
	}
	if !tagForm.MatchString(m.ID) {
		return provider.Receipt{}, httpclient.NotMade("the message's id can't be a tag")
	}
	letter, fail := a.contentOf(acc, m)
	if fail != nil {
		return provider.Receipt{}, fail
	}
	body, err := httpclient.JSON(sendRequest{
		FromEmailAddress: acc.sender(), Destination: destination{[]string{m.To}}, ConfigurationSetName: acc.configurationSet,
		EmailTags: []pair{{tagMessage, m.ID}}, Content: letter,
	})
	if err != nil {
		return provider.Receipt{}, httpclient.NotMade("the request could not be written as JSON")
	}
	raw, answer, fail := a.do(ctx, acc, request{
		service: "ses", base: a.sesBase(acc.region), method: http.MethodPost, path: "/v2/email/outbound-emails", contentType: "application/json", body: body,
	})
	if fail != nil {
		if unverified(answer, m.To) {
			refused := invalidRecipient("the account is in the provider's sandbox, and the recipient is no verified identity of it")
			refused.ProviderCode = fail.ProviderCode
			return provider.Receipt{}, refused
		}
		return provider.Receipt{}, fail
	}
	var taken struct {
		MessageID string `json:"MessageId"`
	}
	if err := json.Unmarshal(raw, &taken); err != nil || !ascii(taken.MessageID) || len(taken.MessageID) > 256 {
		return provider.Receipt{}, httpclient.Unreadable()
	}
	return provider.Receipt{ProviderMessageID: taken.MessageID}, nil
}

// contentOf says a content in SES's form, exactly: it has been checked.
func (a *Adapter) contentOf(acc account, m provider.Message) (sendContent, *provider.Error) {
	answered := answeredID(acc.region, m.ReplyTo)
	if m.Content.Type != content.TypeTemplate {
		return sendContent{Raw: &rawContent{letter(acc.sender(), m.To, answered, m.Content)}}, nil
	}
	t := *m.Content.Template
	values := t.Variables
	if values == nil {
		values = map[string]string{}
	}
	data, err := httpclient.JSON(values)
	if err != nil {
		return sendContent{}, httpclient.NotMade("the variables could not be written as JSON")
	}
	out := &templateContent{TemplateName: t.Name, TemplateData: string(data)}
	if answered != "" {
		out.Headers = []pair{{"In-Reply-To", answered}, {"References", answered}}
	}
	return sendContent{Template: out}, nil
}

// messageIDForm is a Message-ID as a header has it, short enough for a line.
var messageIDForm = regexp.MustCompile(`^<[\x21-\x3b\x3d\x3f-\x7e]{1,400}>$`)

// answeredID is the Message-ID of the letter that is answered. A received one's id ends with it (see replyID). One that SES
// sent has the Message-ID that SES made of its own id, at a domain of the region: that is common knowledge of mail
// headers rather than documented.
func answeredID(region, replyTo string) string {
	if replyTo == "" {
		return ""
	}
	_, id, received := strings.Cut(replyTo, " ")
	if !received {
		domain := region + ".amazonses.com"
		if region == "us-east-1" {
			domain = "email.amazonses.com"
		}
		id = "<" + replyTo + "@" + domain + ">"
	}
	if !messageIDForm.MatchString(id) {
		return ""
	}
	return id
}

// address tells one bare address of ASCII characters. SES takes no others: a domain beyond ASCII has to be given in its
// ASCII form, and an address is not changed here.
func address(s string) bool {
	if !ascii(s) || len(s) > 320 {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Name == "" && a.Address == s
}

func invalidRecipient(detail string) *provider.Error {
	return &provider.Error{Kind: provider.Permanent, Code: "recipient_invalid", Fault: provider.FaultCustomer, Detail: detail}
}
