package emailses_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/emailses"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/emailses"
)

// world is an adapter with a simulator.
func world(t *testing.T, o sim.Options) (*emailses.Adapter, *sim.Simulator, string) {
	t.Helper()
	o.ConfirmAfter = time.Millisecond
	s := sim.New(o)
	server := httptest.NewServer(http.StripPrefix("/email_ses", s))
	t.Cleanup(func() { s.Close(); server.Close() })
	return emailses.New(emailses.Config{BaseURL: server.URL + "/email_ses"}), s, server.URL + "/email_ses"
}

func changed(name, value string) provider.Channel {
	ch := channel()
	ch.Credentials = maps.Clone(ch.Credentials)
	ch.Credentials[name] = value
	return ch
}

//
func TestConnectTellsWhichCredentialIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field, value string
		options      sim.Options
		want         string
	}{
		"no region":                    {field: "region", value: "", want: "region must"},
		"a region that is a host":      {field: "region", value: "us-east-1.evil.example/", want: "region must"},
		"no key":                       {field: "access_key_id", value: "", want: "are needed"},
		"another key":                  {field: "access_key_id", value: "AKIAOTHER", want: "create an access key"},
		"another secret":               {field: "secret_access_key", value: "other", want: "create an access key"},
		"no sender":                    {field: "from_address", value: "Demo Shop", want: "from_address must"},
		"two senders":                  {field: "from_address", value: "a@example.com, b@example.com", want: "from_address must"},
		"a sender beyond ASCII":        {field: "from_address", value: "щ@example.com", want: "from_address must"},
		"a sender with a header":       {field: "from_address", value: "a@example.com\r\nBcc: b@example.com", want: "from_address must"},
		"a sender that is no identity": {field: "from_address", value: "shop@example.org", want: "no verified identity"},
		"a set that is a path":         {field: "configuration_set", value: "../account", want: "configuration_set must"},
		"a set that is not there":      {field: "configuration_set", value: "other", want: "no configuration_set of this name"},
		"a topic that is not there":    {field: "topic_arn", value: sim.DefaultTopic + "-other", want: "no topic of this topic_arn"},
		"a topic of another region":    {field: "topic_arn", value: strings.Replace(sim.DefaultTopic, "us-east-1", "eu-west-1", 1), want: "in the same region"},
		"a topic that is no ARN":       {field: "topic_arn", value: "my-topic", want: "topic_arn must"},
		"a key that may not look":      {options: sim.Options{Denied: []string{"ses:GetAccount"}}, want: "ses:GetAccount"},
		"a key that may not see ids":   {options: sim.Options{Denied: []string{"ses:GetEmailIdentity"}}, want: "ses:GetEmailIdentity"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, _, _ := world(t, c.options)
			ch := channel()
			if c.field != "" {
				ch = changed(c.field, c.value)
			}
			_, err := a.Connect(t.Context(), ch, "https://api.example.com/cb")
			var e *provider.Error
			if !errors.As(err, &e) || e.Kind != provider.Credentials || e.Code != "credentials_invalid" || !strings.Contains(e.Detail, c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if c.value != "" && strings.Contains(e.Error(), c.value) {
				t.Errorf("%v repeats what was entered", e)
			}
		})
	}
}

// A secret that was entered wrong is not kept for the next call with the same key.
func TestASecretIsTheOneOfTheCall(t *testing.T) {
	t.Parallel()
	a, _, _ := world(t, sim.Options{})
	for range 2 {
		if _, err := a.Connect(t.Context(), changed("secret_access_key", "other"), "https://api.example.com/cb"); err == nil {
			t.Error("another secret was taken")
		}
		if _, err := a.Connect(t.Context(), channel(), "https://api.example.com/cb"); err != nil {
			t.Error(err)
		}
	}
}

func TestConnectSaysWhatIsLeftToDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options sim.Options
		channel provider.Channel
		titles  string
	}{
		"all is set up":                       {sim.Options{}, channel(), "See that the subscription is confirmed|Receive letters"},
		"the key may not subscribe":           {sim.Options{Denied: []string{"sns:Subscribe"}}, channel(), "Subscribe the topic to the callback URL|Receive letters"},
		"there is no set":                     {sim.Options{}, changed("configuration_set", ""), "See that the subscription is confirmed|Publish what becomes of letters|Receive letters"},
		"the set publishes nowhere":           {sim.Options{ConfigurationSets: map[string]string{"contact-center": ""}}, channel(), "See that the subscription is confirmed|Publish what becomes of letters|Receive letters"},
		"the key may not look at the set":     {sim.Options{Denied: []string{"ses:GetConfigurationSetEventDestinations"}}, channel(), "See that the subscription is confirmed|Publish what becomes of letters|Receive letters"},
		"the identity is the address and not": {sim.Options{Identities: []string{"shop@example.com"}}, channel(), "See that the subscription is confirmed|Receive letters"},
	} {
		a, _, _ := world(t, c.options)
		got, err := a.Connect(t.Context(), c.channel, "https://api.example.com/cb")
		if err != nil || got.Address != "shop@example.com" {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if settings, err := a.Subscribe(t.Context(), subscribing(c.channel, got.Settings), "https://api.example.com/cb"); err == nil {
			got.Settings = settings
		} else if !strings.Contains(err.Error(), "sns:Subscribe") {
			t.Errorf("%s: %v", name, err)
		}
		for k, v := range got.Settings {
			if v != "" && (v == sim.DefaultSecretAccessKey || v == sim.DefaultAccessKeyID) {
				t.Errorf("%s: the setting %s is a credential", name, k)
			}
		}
		var titles []string
		for _, s := range a.Setup(provider.Channel{Settings: got.Settings}, "https://api.example.com/cb") {
			titles = append(titles, s.Title)
			if s.Value == "" || s.Detail == "" {
				t.Errorf("%s: %+v", name, s)
			}
		}
		if strings.Join(titles, "|") != c.titles {
			t.Errorf("%s: %q", name, titles)
		}
	}
}

func subscribing(ch provider.Channel, settings map[string]string) provider.Channel {
	ch.Settings = settings
	return ch
}

// Without a base URL calls go to the region's own hosts, and nowhere else.
func TestCallsGoToTheRegion(t *testing.T) {
	t.Parallel()
	var hosts []string
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		hosts = append(hosts, r.URL.Scheme+"://"+r.URL.Host+" "+strings.Join(strings.Split(r.Header.Get("Authorization"), "/")[2:4], "/"))
		w := httptest.NewRecorder()
		w.WriteString(`{"VerifiedForSendingStatus":true,"MessageId":"1"}`)
		return w.Result(), nil
	})}
	a := emailses.New(emailses.Config{HTTP: client})
	ch := changed("configuration_set", "")
	ch.Credentials["region"], ch.Credentials["topic_arn"] = "eu-west-1", "arn:aws:sns:eu-west-1:123456789012:mail"
	if _, err := a.Connect(t.Context(), ch, "https://api.example.com/cb"); err != nil {
		t.Fatal(err)
	}
	m := provider.Message{ID: "msg_1", To: recipient, Content: content.Content{Type: content.TypeText, Text: "a"}}
	if _, err := a.Send(t.Context(), ch, m); err != nil {
		t.Fatal(err)
	}
	ses, sns := "https://email.eu-west-1.amazonaws.com eu-west-1/ses", "https://sns.eu-west-1.amazonaws.com eu-west-1/sns"
	if got := strings.Join(hosts, "\n"); got != strings.Join([]string{ses, ses, sns, ses}, "\n") {
		t.Errorf("got\n%s", got)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTemplatesAreListedByName(t *testing.T) {
	t.Parallel()
	a, _, _ := world(t, sim.Options{})
	got, err := a.Templates(t.Context(), channel())
	if err != nil || len(got) != 1 || got[0].Name != "order_shipped" || got[0].ID != "order_shipped" || got[0].Status != "approved" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := a.Templates(t.Context(), changed("secret_access_key", "other")); err == nil {
		t.Error("another secret was taken")
	}
	calls := 0
	pages := emailses.New(emailses.Config{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		calls++
		switch r.URL.Query().Get("NextToken") {
		case "":
			w.WriteString(`{"TemplatesMetadata":[{"TemplateName":"a"}],"NextToken":"x y&z"}`)
		case "x y&z":
			w.WriteString(`{"TemplatesMetadata":[{"TemplateName":"b"},{"TemplateName":""}]}`)
		}
		return w.Result(), nil
	})}})
	if got, err := pages.Templates(t.Context(), channel()); err != nil || len(got) != 2 || got[1].Name != "b" || calls != 2 {
		t.Errorf("got %+v, %v after %d calls", got, err, calls)
	}
}

// An answer names the letter before it.
func TestAnAnswerNamesTheLetterBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ replyTo, want string }{
		"a received letter":            {"o3vrnil0e2ic <CAB+x=y@mail.gmail.com>", "<CAB+x=y@mail.gmail.com>"},
		"a received one without id":    {"o3vrnil0e2ic -", ""},
		"one of our own":               {"0100018c-1", "<0100018c-1@email.amazonses.com>"},
		"what would be another header": {"o3vrnil0e2ic <a@b>\r\nBcc: c@d", ""},
		"nothing":                      {"", ""},
	} {
		a, s, _ := world(t, sim.Options{})
		for _, form := range []content.Content{
			{Type: content.TypeText, Text: "a"},
			{Type: content.TypeTemplate, Template: &content.Template{Name: "order_shipped", Variables: map[string]string{"name": "a", "number": "b"}}},
		} {
			if _, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: recipient, Content: form, ReplyTo: c.replyTo}); err != nil {
				t.Fatal(name, err)
			}
		}
		calls, _ := s.Calls("")
		for _, call := range calls {
			got, err := parts(call.Request)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, v := range got {
				if v == "In-Reply-To" || v == "References" || v == c.want && v != "" {
					n++
				}
			}
			if c.want == "" && n != 0 || c.want != "" && n != 4 {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
}

func TestARecipientIsOneBareAddress(t *testing.T) {
	t.Parallel()
	a, s, _ := world(t, sim.Options{})
	for _, to := range []string{"", "anna", "@example.net", "anna@", "Anna <anna@example.net>", "a@example.net,b@example.net", "щ@example.net", "anna@пример.рф", "a@example.net\r\nBcc: b@example.net", " a@example.net", `"a b"@example.net`} {
		_, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: to, Content: content.Content{Type: content.TypeText, Text: "a"}})
		var e *provider.Error
		if !errors.As(err, &e) || e.Kind != provider.Permanent || e.Code != "recipient_invalid" {
			t.Errorf("%q: %v", to, err)
		}
	}
	if calls, _ := s.Calls(""); len(calls) != 0 {
		t.Errorf("%d calls were made", len(calls))
	}
	for _, to := range []string{"anna@example.net", "Anna.O'Neil+x@Sub.example.NET", "a!#$%&*/=?^_`{|}~@example.net"} {
		if _, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: to, Content: content.Content{Type: content.TypeText, Text: "a"}}); err != nil {
			t.Errorf("%q: %v", to, err)
		}
	}
}

func TestAKeyThatMayNotSendIsToldOf(t *testing.T) {
	t.Parallel()
	a, _, _ := world(t, sim.Options{Denied: []string{"ses:SendEmail"}})
	_, err := a.Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: recipient, Content: content.Content{Type: content.TypeText, Text: "a"}})
	var e *provider.Error
	if !errors.As(err, &e) || e.Kind != provider.Credentials || e.ProviderCode != "AccessDeniedException" {
		t.Errorf("got %v", err)
	}
	ch := channel()
	ch.Credentials = nil
	if _, err := a.Send(t.Context(), ch, provider.Message{ID: "msg_1", To: recipient, Content: content.Content{Type: content.TypeText, Text: "a"}}); !errors.As(err, &e) || e.Kind != provider.Credentials {
		t.Errorf("without credentials: %v", err)
	}
}
