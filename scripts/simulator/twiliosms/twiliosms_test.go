package twiliosms_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"contactcenter/scripts/simulator/twiliosms"
)

const (
	number  = "+15550101001"
	person  = "+35799123456"
	hookURL = "https://crm.example/hook"
	base    = "/2010-04-01/Accounts/" + twiliosms.DefaultAccountSID
)

// crm takes callbacks without a network, so that time can be a bubble's.
type crm struct {
	answer int

	mu      sync.Mutex
	arrived []url.Values
}

func (c *crm) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	form.Set("_url", r.URL.String())
	form.Set("_signature", r.Header.Get("X-Twilio-Signature"))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived = append(c.arrived, form)
	return &http.Response{StatusCode: c.answer, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
}

func (c *crm) all() []url.Values {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.arrived)
}

type provider struct {
	*twiliosms.Simulator
	*crm
	t *testing.T
}

func start(t *testing.T, answer int) provider {
	t.Helper()
	c := &crm{answer: answer}
	s := twiliosms.New(twiliosms.Options{HTTP: &http.Client{Transport: c}})
	t.Cleanup(s.Close)
	return provider{s, c, t}
}

func (p provider) call(method, path, body string) (int, map[string]any) {
	p.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.SetBasicAuth(twiliosms.DefaultAccountSID, twiliosms.DefaultAuthToken)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	var out map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &out)
	return w.Code, out
}

func (p provider) send(more ...string) (int, map[string]any) {
	p.t.Helper()
	form := url.Values{"To": {person}, "From": {number}, "Body": {"hello"}, "StatusCallback": {hookURL + "?message_id=msg_1"}}
	for i := 0; i+1 < len(more); i += 2 {
		if form.Set(more[i], more[i+1]); more[i+1] == "" {
			form.Del(more[i])
		}
	}
	return p.call("POST", base+"/Messages.json", form.Encode())
}

func TestATakenMessageIsReportedOnInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, 204)
		status, answer := p.send()
		if status != 201 || answer["status"] != "queued" || !strings.HasPrefix(answer["sid"].(string), "SM") {
			t.Fatalf("got %d %v", status, answer)
		}
		time.Sleep(time.Second)
		var got []string
		for _, form := range p.all() {
			got = append(got, form.Get("MessageStatus"))
			if form.Get("_url") != hookURL+"?message_id=msg_1" || form.Get("MessageSid") != answer["sid"] || form.Get("_signature") == "" || form.Has("ErrorCode") {
				t.Errorf("callback %v", form)
			}
		}
		if !slices.Equal(got, []string{"queued", "sending", "sent", "delivered"}) {
			t.Errorf("got %v", got)
		}
		if calls, n := p.Calls(number); n != 1 || calls[0].RequestID != "msg_1" || calls[0].To != person {
			t.Errorf("accepted %d, calls %+v", n, calls)
		}
	})
}

func TestTwilioRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change []string
		status int
		code   float64
	}{
		"nobody":                          {[]string{"To", ""}, 400, 21604},
		"no number":                       {[]string{"To", "35799"}, 400, 21211},
		"the number that is none":         {[]string{"To", "+15005550001"}, 400, 21211},
		"the number without a way":        {[]string{"To", "+15005550002"}, 400, 21612},
		"the country that is not enabled": {[]string{"To", "+15005550003"}, 403, 21408},
		"the number that said STOP":       {[]string{"To", "+15005550004"}, 400, 21610},
		"the landline":                    {[]string{"To", "+15005550009"}, 400, 21614},
		"the sender itself":               {[]string{"To", number}, 400, 21266},
		"no sender":                       {[]string{"From", ""}, 400, 21603},
		"another's number":                {[]string{"From", "+15550109999"}, 400, 21606},
		"a number for calls":              {[]string{"From", "+15550101099"}, 400, 21661},
		"another's service":               {[]string{"From", "", "MessagingServiceSid", "MG1"}, 400, 21705},
		"nothing to send":                 {[]string{"Body", ""}, 400, 21619},
		"a text too long":                 {[]string{"Body", strings.Repeat("é", 1601)}, 400, 21617},
		"a file that is nowhere":          {[]string{"MediaUrl", "file"}, 400, 21620},
		"variables of no template":        {[]string{"ContentVariables", "{}"}, 400, 21654},
		"a template nobody knows":         {[]string{"ContentSid", "HX1"}, 400, 21655},
		"a template without its values":   {[]string{"ContentSid", "HX00000000000000000000000000000001"}, 400, 21656},
		"a callback to nowhere":           {[]string{"StatusCallback", "http://crm.example"}, 400, 21609},
	} {
		p := start(t, 204)
		status, answer := p.send(c.change...)
		if status != c.status || answer["code"] != c.code || answer["status"] != float64(status) || answer["more_info"] == "" {
			t.Errorf("%s: got %d %v", name, status, answer)
		}
		if _, n := p.Calls(""); n != 0 {
			t.Errorf("%s: accepted", name)
		}
	}
	p := start(t, 204)
	for name, r := range map[string]*http.Request{
		"no credentials":  httptest.NewRequest("GET", base+".json", nil),
		"another account": httptest.NewRequest("GET", base[:len(base)-1]+"2.json", nil),
	} {
		if name == "another account" {
			r.SetBasicAuth(twiliosms.DefaultAccountSID, twiliosms.DefaultAuthToken)
		}
		w := httptest.NewRecorder()
		if p.ServeHTTP(w, r); w.Code != 401 || !strings.Contains(w.Body.String(), `"code":20003`) {
			t.Errorf("%s: got %d %s", name, w.Code, w.Body)
		}
	}
	p.call("PUT", "/_sim/behaviour", `{"queue_full":true}`)
	if status, answer := p.send(); status != 429 || answer["code"] != 21611.0 {
		t.Errorf("a full queue: got %d %v", status, answer)
	}
}

func TestWhoeverWritesStopGetsNothingUntilStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := start(t, 204)
		if status, _ := p.call("POST", base+"/IncomingPhoneNumbers/PN00000000000000000000000000000001.json", url.Values{"SmsUrl": {hookURL}}.Encode()); status != 200 {
			t.Fatalf("set up: %d", status)
		}
		for _, step := range []struct {
			text string
			want int
		}{{"Stop", 400}, {"stop it", 400}, {" START ", 201}, {"hello", 201}} {
			_, told := p.call("POST", "/_sim/inbound", `{"sender_id":"`+number+`","from":"`+person+`","text":"`+step.text+`"}`)
			if told["delivered"] != true {
				t.Fatalf("%s: %v", step.text, told)
			}
			if status, _ := p.send(); status != step.want {
				t.Errorf("after %q: %d, want %d", step.text, status, step.want)
			}
		}
		if first := p.all()[0]; first.Get("Body") != "Stop" || first.Get("SmsStatus") != "received" || first.Get("From") != person || first.Has("OptOutType") {
			t.Errorf("got %v", first)
		}
	})
}

func TestAServiceSaysWhatAWordMeans(t *testing.T) {
	t.Parallel()
	p := start(t, 204)
	service := `"sender_id":"` + twiliosms.DefaultServiceSID + `"`
	p.call("POST", "/_sim/webhook", `{`+service+`,"url":"`+hookURL+`"}`)
	p.call("POST", "/_sim/inbound", `{`+service+`,"from":"`+person+`","text":"stop","media":[{"url":"https://x.example/1","content_type":"image/png"}]}`)
	got := p.all()
	if len(got) != 1 || got[0].Get("OptOutType") != "STOP" || got[0].Get("MessagingServiceSid") != twiliosms.DefaultServiceSID || got[0].Get("MediaUrl0") == "" || got[0].Get("NumMedia") != "1" {
		t.Errorf("got %v", got)
	}
	if status, _ := p.send("From", "", "MessagingServiceSid", twiliosms.DefaultServiceSID); status != 400 {
		t.Errorf("sent after STOP: %d", status)
	}
}

func TestWhatIsNotTakenGoesToTheFallback(t *testing.T) {
	t.Parallel()
	p := start(t, 503)
	p.call("POST", base+"/IncomingPhoneNumbers/PN00000000000000000000000000000001.json", url.Values{"SmsUrl": {hookURL}, "SmsFallbackUrl": {hookURL + "2"}}.Encode())
	_, told := p.call("POST", "/_sim/inbound", `{"sender_id":"`+number+`","from":"`+person+`","text":"hi"}`)
	got := p.all()
	if told["delivered"] != false || len(got) != 2 || got[1].Get("_url") != hookURL+"2" || got[1].Get("MessageSid") != got[0].Get("MessageSid") || got[1].Get("ErrorCode") == "" {
		t.Errorf("told %v, got %v", told, got)
	}
}

func TestNumbersAreFoundByAPartAndShowWhereTheyCallBack(t *testing.T) {
	t.Parallel()
	p := start(t, 204)
	for query, want := range map[string]int{"": 11, "?PhoneNumber=%2B15550101001": 1, "?PhoneNumber=10100": 9, "?PhoneNumber=%2B44": 0} {
		_, answer := p.call("GET", base+"/IncomingPhoneNumbers.json"+query, "")
		if list, _ := answer["incoming_phone_numbers"].([]any); len(list) != want {
			t.Errorf("%q: %d numbers, want %d", query, len(list), want)
		}
	}
	if status, answer := p.call("POST", base+"/IncomingPhoneNumbers/PN00000000000000000000000000000001.json", "SmsUrl=http%3A%2F%2Fcrm.example"); status != 400 || answer["code"] != 21502.0 {
		t.Errorf("got %d %v", status, answer)
	}
	if status, _ := p.call("POST", base+"/IncomingPhoneNumbers/PN1.json", "SmsUrl="); status != 404 {
		t.Errorf("got %d", status)
	}
}
