package whatsappcloud_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	sim "contactcenter/scripts/simulator/whatsappcloud"
	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/providertest"
	"contactcenter/shared/provider/whatsappcloud"
	"contactcenter/shared/telemetry/telemetrytest"
)

const (
	number      = "100000000000001"
	account     = sim.DefaultAccount
	appSecret   = "test-app-secret"
	verifyToken = "test-verify-token"
)

func credentials() map[string]string {
	return map[string]string{"phone_number_id": number, "waba_id": account, "access_token": "test-token", "app_secret": appSecret, "verify_token": verifyToken}
}

// channel is a number of the simulator, as Connect would have set it up.
func channel() provider.Channel {
	return provider.Channel{ID: "chn_1", Type: "whatsapp", Address: "+35799002001", Settings: map[string]string{"webhook": "number"}, Credentials: credentials()}
}

// with gives a channel other credentials.
func with(changes map[string]string) provider.Channel {
	ch := channel()
	ch.Settings = nil
	maps.Copy(ch.Credentials, changes)
	return ch
}

func adapter(url string, timeout time.Duration) *whatsappcloud.Adapter {
	return whatsappcloud.New(whatsappcloud.Config{BaseURL: url + "/v25.0", Timeout: timeout})
}

func simulator(t *testing.T, o sim.Options) *sim.Simulator {
	t.Helper()
	o.AccessToken, o.AppSecret = "test-token", appSecret
	s := sim.New(o)
	t.Cleanup(s.Close)
	return s
}

// sign proves a body as Meta does.
func sign(r *provider.Request) {
	h := hmac.New(sha256.New, []byte(appSecret))
	h.Write(r.Body)
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(h.Sum(nil)))
}

func post(body string) *provider.Request {
	r := &provider.Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte(body)}
	sign(r)
	return r
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// change is a webhook of one change.
func change(field, value string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"` + account + `","changes":[{"field":"` + field + `","value":` + value + `}]}]}`
}

func about(number, members string) string {
	return `{"messaging_product":"whatsapp","metadata":{"display_phone_number":"35799002001","phone_number_id":"` + number + `"},` + members + `}`
}

func statuses(items ...string) string {
	return change("messages", about(number, `"statuses":[`+strings.Join(items, ",")+`]`))
}

func messages(items ...string) string {
	return change("messages", about(number, `"contacts":[{"profile":{"name":"Sheena"},"wa_id":"35799123456"}],"messages":[`+strings.Join(items, ",")+`]`))
}

// status is one as Meta's reference shows it. more are further members.
func status(wamid, word, more string) string {
	return `{"id":` + quote(wamid) + `,"status":"` + word + `","timestamp":"1750030073","recipient_id":"35799123456"` + more + `}`
}

func failure(code string) string {
	return `,"errors":[{"code":` + code + `,"title":"x","message":"x","error_data":{"details":"x"},"href":"https://developers.facebook.com/"}]`
}

const metered = `,"conversation":{"id":"c1","expiration_timestamp":"1750116480","origin":{"type":"marketing"}},"pricing":{"billable":true,"pricing_model":"PMP","type":"regular","category":"marketing"}`

func inbound(wamid, from, members string) string {
	return `{"from":` + quote(from) + `,"id":` + quote(wamid) + `,"timestamp":"1749416383",` + members + `}`
}

func text(s string) string { return `"type":"text","text":{"body":` + quote(s) + `}` }

func samples() map[string]content.Content {
	template := func(name string, variables map[string]string) content.Content {
		return content.Content{Type: content.TypeTemplate, Template: &content.Template{Name: name, Language: "en_US", Variables: variables}}
	}
	media := func(m content.Media) content.Content { return content.Content{Type: content.TypeMedia, Media: &m} }
	interactive := func(m content.Interactive) content.Content {
		m.Text, m.Header, m.Footer = "Which one? <b>&", "Header", "Footer"
		return content.Content{Type: content.TypeInteractive, Interactive: &m}
	}
	return map[string]content.Content{
		"a template with numbers":        template("order_shipped", map[string]string{"1": "Ann", "2": "A-7"}),
		"a template with names":          template("appointment", map[string]string{"first_name": "Ann", "day": "Monday"}),
		"a template with a text header":  template("welcome", map[string]string{"header.1": "Ann"}),
		"a template with all its parts":  template("sale", map[string]string{"header.image": "https://files.example/1.png", "1": "Friday", "button.0.payload": "STOP", "button.1": "ann", "button.2.coupon_code": "C-25"}),
		"a template without a payload":   template("sale", map[string]string{"header.image": "https://files.example/1.png", "1": "Friday", "button.1": "ann", "button.2.coupon_code": "C-25"}),
		"a place":                        {Type: content.TypeLocation, Location: &content.Location{Latitude: 35.1, Longitude: -33.4, Name: "Office", Address: "1 Long Street"}},
		"a place without a name":         {Type: content.TypeLocation, Location: &content.Location{}},
		"an image":                       media(content.Media{Kind: "image", URL: "https://files.example/1.png", Caption: "look"}),
		"a video":                        media(content.Media{Kind: "video", URL: "https://files.example/1.mp4", Caption: "look"}),
		"a recording":                    media(content.Media{Kind: "audio", URL: "https://files.example/1.ogg"}),
		"a document":                     media(content.Media{Kind: "document", URL: "https://files.example/1.pdf?x=1&y=2", Caption: "read", Filename: "terms.pdf"}),
		"buttons to answer with":         interactive(content.Interactive{Buttons: []content.Button{{Title: "Yes", ID: "y"}, {Title: "No", ID: "n"}, {Title: "Later", ID: "l"}}}),
		"a button that opens a page":     interactive(content.Interactive{Buttons: []content.Button{{Title: "Open", URL: "https://shop.example/?a=1&b=2"}}}),
		"a list to choose from":          interactive(content.Interactive{List: &content.List{Button: "Choose", Sections: []content.Section{{Title: "Day", Rows: []content.Row{{ID: "1", Title: "Mon", Description: "early"}, {ID: "2", Title: "Tue"}}}, {Title: "Night", Rows: []content.Row{{ID: "3", Title: "Wed"}}}}}}),
		"a list of one nameless section": interactive(content.Interactive{List: &content.List{Button: "Choose", Sections: []content.Section{{Rows: []content.Row{{ID: "1", Title: "Mon"}}}}}}),
	}
}

//
func TestTheAdapterConforms(t *testing.T) {
	t.Parallel()
	logs := &telemetrytest.Log{}
	providertest.Run(t, providertest.Kit{
		New: func(url string, timeout time.Duration) provider.Adapter { return adapter(url, timeout) },
		Simulator: func(t *testing.T) providertest.Simulator {
			s := simulator(t, sim.Options{OpenWindow: true, Logger: slog.New(slog.NewJSONHandler(logs, nil))})
			return providertest.Simulator{Handler: s, Accepted: func() int { _, n := s.Calls(""); return n }}
		},
		Channel:  channel(),
		SendPath: "/v25.0/" + number + "/messages",
		Answers:  answers(),
		Read: func(body []byte) (string, string, error) {
			var b struct {
				To   string
				Text struct{ Body string }
			}
			err := json.Unmarshal(body, &b)
			return b.To, b.Text.Body, err
		},
		Fixed:   []string{"whatsapp", "individual", "text"},
		Samples: samples(),
		Status: func(id, s string) *provider.Request {
			more := `,"biz_opaque_callback_data":` + quote(id) + metered
			if s == "failed" {
				more += failure("131026")
			}
			return post(statuses(status("wamid.1", s, more)))
		},
		Reply: func(id, from, s string) *provider.Request {
			return post(messages(inbound("wamid."+id, from[1:], text(s))))
		},
		Sign: sign,
		Unproven: map[string]func(*provider.Request){
			"another body":    func(r *provider.Request) { r.Body = append(bytes.Clone(r.Body), ' ') },
			"another secret":  func(r *provider.Request) { forge(r, "other") },
			"an empty secret": func(r *provider.Request) { forge(r, "") },
			"no prefix":       func(r *provider.Request) { trim(r, "sha256=") },
			"a MAC cut short": func(r *provider.Request) {
				r.Header.Set("X-Hub-Signature-256", r.Header.Get("X-Hub-Signature-256")[:69])
			},
			"half a byte": func(r *provider.Request) {
				r.Header.Set("X-Hub-Signature-256", r.Header.Get("X-Hub-Signature-256")[:70])
			},
			"nothing after the prefix":    func(r *provider.Request) { r.Header.Set("X-Hub-Signature-256", "sha256=") },
			"the MAC under the old name":  func(r *provider.Request) { r.Header = http.Header{"X-Hub-Signature": r.Header["X-Hub-Signature-256"]} },
			"what is no hexadecimal code": func(r *provider.Request) { r.Header.Set("X-Hub-Signature-256", "sha256="+strings.Repeat("x", 64)) },
		},
		Ignored: map[string]*provider.Request{
			"an empty object":                  post("{}"),
			"another object":                   post(`{"object":"page","entry":[]}`),
			"no entries":                       post(`{"object":"whatsapp_business_account","entry":[]}`),
			"a field nobody knows":             post(change("something_new", `{"x":1}`)),
			"an alert":                         post(change("account_alerts", `{"entity_type":"BUSINESS"}`)),
			"the quality of a template":        post(change("message_template_quality_update", `{"new_quality_score":"GREEN"}`)),
			"a voice message was played":       post(statuses(status("wamid.1", "played", ""))),
			"a message was deleted":            post(statuses(status("wamid.1", "deleted", ""))),
			"a status nobody knows":            post(statuses(status("wamid.1", "pondered", ""))),
			"another number's status":          post(change("messages", about("100000000000002", `"statuses":[`+status("wamid.1", "read", "")+`]`))),
			"another number's message":         post(change("messages", about("100000000000002", `"messages":[`+inbound("wamid.1", "35799123456", text("x"))+`]`))),
			"another account's template":       post(strings.ReplaceAll(change("message_template_status_update", `{"event":"APPROVED"}`), account, "200000000000002")),
			"an error that is not a message's": post(change("messages", about(number, `"errors":[{"code":130429,"title":"x"}]`))),
			"a decision that is none":          post(change("user_preferences", about(number, `"user_preferences":[{"wa_id":"35799123456","value":"maybe"}]`))),
		},
		Logs: logs.String,
	})
}

func forge(r *provider.Request, secret string) {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write(r.Body)
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(h.Sum(nil)))
}

func trim(r *provider.Request, prefix string) {
	r.Header.Set("X-Hub-Signature-256", strings.TrimPrefix(r.Header.Get("X-Hub-Signature-256"), prefix))
}

func graphError(code string) string {
	return `{"error":{"message":"(#` + code + `) ` + providertest.Canary + ` to 35799123456","type":"OAuthException","code":` + code +
		`,"error_data":{"messaging_product":"whatsapp","details":"` + providertest.Canary + `"},"error_subcode":2494010,"fbtrace_id":"A"}}`
}

// answers is the table of error codes. Meta's status is 400 for most of them, and says nothing.
func answers() []providertest.Answer {
	var out []providertest.Answer
	add := func(kind provider.Kind, code string, wait time.Duration, numbers ...string) {
		for _, n := range numbers {
			for _, status := range []int{400, 429, 500} {
				out = append(out, providertest.Answer{
					Name: n + " under " + fmt.Sprint(status), Status: status, Body: graphError(n), Kind: kind, Code: code, ProviderCode: n, RetryAfter: wait,
				})
			}
		}
	}
	add(provider.Credentials, "credentials_invalid", 0, "0", "3", "10", "190", "200", "299", "131005")
	add(provider.Retry, "provider_unavailable", 0, "1", "2", "131000", "131016", "131048", "131056", "131057")
	add(provider.Retry, "provider_unavailable", time.Minute, "4", "80007")
	add(provider.Retry, "provider_unavailable", time.Second, "130429")
	add(provider.Permanent, "sender_unavailable", 0, "33", "368", "130497", "131031", "131037", "131045", "133010")
	add(provider.Permanent, "recipient_invalid", 0, "131021", "131026", "131030")
	add(provider.Permanent, "reply_window_closed", 0, "131047")
	add(provider.Permanent, "recipient_opted_out", 0, "131050")
	add(provider.Permanent, "provider_refused", 0, "100", "130472", "131008", "131009", "131042", "131049", "131051", "131052", "131053", "135000",
		"132000", "132001", "132005", "132007", "132012", "132015", "132016", "132999")
	sub33 := `{"error":{"message":"Unsupported post request.","type":"GraphMethodException","code":100,"error_subcode":33}}`
	proof := `{"error":{"message":"Invalid appsecret_proof provided in the API argument","type":"GraphMethodException","code":100}}`
	return append(out,
		providertest.Answer{Name: "a number that is not there any more", Status: 400, Body: sub33, Kind: provider.Credentials, Code: "credentials_invalid", ProviderCode: "100"},
		providertest.Answer{Name: "a proof that does not fit", Status: 400, Body: proof, Kind: provider.Credentials, Code: "credentials_invalid", ProviderCode: "100"},
		providertest.Answer{Name: "a wait that is longer than ours", Status: 429, Header: http.Header{"Retry-After": {"90"}}, Body: graphError("80007"), Kind: provider.Retry, RetryAfter: 90 * time.Second},
		providertest.Answer{Name: "a wait for one recipient", Status: 400, Header: http.Header{"Retry-After": {"3"}}, Body: graphError("131056"), Kind: provider.Retry, RetryAfter: 3 * time.Second},
		providertest.Answer{Name: "a code that is a string", Status: 400, Body: `{"error":{"code":"131047"}}`, Kind: provider.Permanent, Code: "reply_window_closed", ProviderCode: "131047"},
		providertest.Answer{Name: "an unknown code", Status: 400, Body: graphError("7"), Kind: provider.Permanent, Code: "provider_refused", ProviderCode: "7"},
		providertest.Answer{Name: "an unknown code of a passing failure", Status: 503, Body: graphError("7"), Kind: provider.Retry, Code: "provider_unavailable", ProviderCode: "7"},
		providertest.Answer{Name: "a code that is none", Status: 400, Body: `{"error":{"code":{"x":1}}}`, Kind: provider.Permanent, Code: "provider_refused", ProviderCode: "400"},
		providertest.Answer{Name: "an error under status 200", Status: 200, Body: graphError("131026"), Kind: provider.Permanent, Code: "recipient_invalid", ProviderCode: "131026"},
		providertest.Answer{Name: "an unknown error under status 200", Status: 200, Body: graphError("7"), Kind: provider.Permanent, Code: "provider_refused", ProviderCode: "7"},
		providertest.Answer{Name: "201", Status: 201, Body: `{"messages":[{"id":"wamid.1"}]}`, Kind: provider.Ambiguous, Code: "outcome_unknown"},
		providertest.Answer{Name: "307", Status: 307, Header: http.Header{"Location": {"/elsewhere"}}, Kind: provider.Retry},
	)
}

// what the provider says of a recipient's wish is said on.
func TestAnOptOutIsToldByTheAnswer(t *testing.T) {
	t.Parallel()
	s := simulator(t, sim.Options{})
	server := serve(t, s)
	steer(t, http.MethodPut, server+"/_sim/behaviour", `{"fail_status":400,"error_code":131050}`, 200)
	_, err := adapter(server, 0).Send(t.Context(), channel(), provider.Message{ID: "msg_1", To: "+35799123456", Content: content.Content{Type: content.TypeText, Text: "x"}})
	if e := failed(t, err); !e.OptedOut || e.Fault != provider.FaultRecipient {
		t.Errorf("got %+v", e)
	}
}

func TestConfigurationIsReadFromTheEnvironment(t *testing.T) {
	t.Parallel()
	c := whatsappcloud.ConfigFrom(func(k string) string {
		return map[string]string{"WHATSAPP_CLOUD_BASE_URL": "http://127.0.0.1:3001/whatsapp_cloud/v25.0"}[k]
	})
	if c.BaseURL != "http://127.0.0.1:3001/whatsapp_cloud/v25.0" {
		t.Errorf("got %+v", c)
	}
	if u, err := url.Parse(whatsappcloud.DefaultBaseURL); err != nil || u.Scheme != "https" || u.Host != "graph.facebook.com" {
		t.Errorf("got %v, %v", u, err)
	}
}
