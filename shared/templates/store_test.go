package templates_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"contactcenter/shared/localaws/awstest"
	"contactcenter/shared/provider"
	"contactcenter/shared/seal"
	"contactcenter/shared/seal/sealtest"
	"contactcenter/shared/templates"
)

const (
	acct    = "acct_1"
	channel = "chn_0123456789abcdef"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func store(t *testing.T) (*templates.Store, *awstest.Env) {
	t.Helper()
	env := awstest.New(t)
	return &templates.Store{
		DB: env.DynamoDB, Table: env.Table(t.Context(), awstest.ChannelsTable()), Sealer: sealtest.Sealer(seal.Credentials), Opener: sealtest.Opener(seal.Credentials),
	}, env
}

func get(t *testing.T, s *templates.Store) templates.List {
	t.Helper()
	l, err := s.Get(t.Context(), acct, channel)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func save(t *testing.T, s *templates.Store, at time.Time, names ...string) {
	t.Helper()
	if err := s.Save(t.Context(), acct, channel, templates.New(named(names...), at)); err != nil {
		t.Fatal(err)
	}
}

func named(names ...string) []provider.Template {
	var out []provider.Template
	for _, name := range names {
		out = append(out, provider.Template{ID: "1", Name: name, Language: "en", Status: "approved", Text: "Hello {{1}} 👋", Variables: []string{"1"}})
	}
	return out
}

func TestAListIsKeptAsItWasTold(t *testing.T) {
	t.Parallel()
	s, _ := store(t)
	if l := get(t, s); l.Known() || l.Fresh(noon) {
		t.Errorf("before: %+v", l)
	}
	save(t, s, noon, "b", "a")
	l := get(t, s)
	if !reflect.DeepEqual(l, templates.List{Templates: named("a", "b"), SyncedAt: noon}) {
		t.Errorf("got %+v", l)
	}
	if !l.Fresh(noon.Add(templates.Age-time.Millisecond)) || l.Fresh(noon.Add(templates.Age)) {
		t.Error("it is not fresh for its age")
	}
}

func TestAChangeThatIsToldMakesAListStale(t *testing.T) {
	t.Parallel()
	changed := func(t *testing.T, s *templates.Store, at time.Time) {
		t.Helper()
		if err := s.Changed(t.Context(), channel, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		do    func(t *testing.T, s *templates.Store)
		fresh bool
	}{
		{"told after it was asked for", func(t *testing.T, s *templates.Store) { save(t, s, noon, "a"); changed(t, s, noon.Add(time.Second)) }, false},
		{"told at the same time", func(t *testing.T, s *templates.Store) { save(t, s, noon, "a"); changed(t, s, noon) }, false},
		{"told while it was asked for", func(t *testing.T, s *templates.Store) { changed(t, s, noon.Add(time.Second)); save(t, s, noon, "a") }, false},
		{"told before it was asked for", func(t *testing.T, s *templates.Store) { changed(t, s, noon.Add(-time.Second)); save(t, s, noon, "a") }, true},
		{"an older word after a newer list", func(t *testing.T, s *templates.Store) { save(t, s, noon, "a"); changed(t, s, noon.Add(-time.Second)) }, true},
		{"an older word after a newer one", func(t *testing.T, s *templates.Store) {
			save(t, s, noon, "a")
			changed(t, s, noon.Add(time.Second))
			changed(t, s, noon.Add(-time.Second))
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, _ := store(t)
			c.do(t, s)
			if l := get(t, s); l.Fresh(noon.Add(2*time.Second)) != c.fresh || !l.Known() || len(l.Templates) != 1 {
				t.Errorf("got %+v", l)
			}
		})
	}
	s, _ := store(t)
	changed(t, s, noon)
	if l := get(t, s); l.Known() || !l.ChangedAt.Equal(noon) {
		t.Errorf("a change of what was never asked for: %+v", l)
	}
}

func TestALaterListIsNotReplacedByAnEarlierOne(t *testing.T) {
	t.Parallel()
	s, _ := store(t)
	save(t, s, noon, "later")
	save(t, s, noon.Add(-time.Second), "earlier")
	if l := get(t, s); l.Templates[0].Name != "later" || !l.SyncedAt.Equal(noon) {
		t.Errorf("got %+v", l)
	}
}

// the customer's words are sealed, for the account and the channel.
func TestAListIsSealed(t *testing.T) {
	t.Parallel()
	s, env := store(t)
	save(t, s, noon, "canary")
	out, err := env.DynamoDB.Scan(context.Background(), &dynamodb.ScanInput{TableName: &s.Table})
	if err != nil || len(out.Items) != 1 {
		t.Fatalf("%d items, %v", len(out.Items), err)
	}
	if said := fmt.Sprintf("%+v", out.Items[0]); strings.Contains(said, "canary") || strings.Contains(said, "Hello") {
		t.Errorf("it can be read: %s", said)
	}
	if _, err := s.Get(t.Context(), "acct_2", channel); err == nil {
		t.Error("another account can open it")
	}
}

func TestAListThatNoItemHoldsIsNotKept(t *testing.T) {
	t.Parallel()
	s, _ := store(t)
	// A thousand templates of ordinary words fit; what can't be packed does not.
	ordinary, noise := named(), named()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range provider.MaxTemplates {
		text := make([]rune, 1024)
		for j := range text {
			text[j] = rune(0x4e00 + random.IntN(20_000))
		}
		ordinary = append(ordinary, provider.Template{ID: fmt.Sprint(i), Name: fmt.Sprintf("order_%d", i), Language: "en", Status: "approved", Text: strings.Repeat("Your order {{1}} is on its way. ", 33)})
		noise = append(noise, provider.Template{ID: fmt.Sprint(i), Name: "n", Text: string(text)})
	}
	if err := s.Save(t.Context(), acct, channel, templates.New(ordinary, noon)); err != nil {
		t.Errorf("ordinary: %v", err)
	}
	if err := s.Save(t.Context(), acct, channel, templates.New(noise, noon.Add(time.Second))); !errors.Is(err, templates.ErrTooLarge) {
		t.Errorf("noise: %v", err)
	}
	if l := get(t, s); len(l.Templates) != provider.MaxTemplates || l.Templates[0].Name != "order_0" {
		t.Errorf("kept are %d", len(l.Templates))
	}
}

func TestAListIsShownInPages(t *testing.T) {
	t.Parallel()
	l := templates.New([]provider.Template{
		{Name: "b", Language: "en", ID: "2"}, {Name: "a", Language: "ru", ID: "1"}, {Name: "a", Language: "en", ID: "9"}, {Name: "b", Language: "en", ID: "10"}, {Name: "c", ID: "3"},
	}, noon)
	var seen []string
	at := ""
	for range 10 {
		var page []provider.Template
		page, at = l.After(at, 2)
		for _, x := range page {
			seen = append(seen, x.Name+x.Language+x.ID)
		}
		if at == "" {
			break
		}
	}
	if got := strings.Join(seen, " "); got != "aen9 aru1 ben10 ben2 c3" {
		t.Errorf("got %s", got)
	}
	if page, next := l.After("aa", 9); len(page) != 3 || next != "" {
		t.Errorf("after a place that is gone: %v", page)
	}
}
