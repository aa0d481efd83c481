package localdynamo

import (
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNumbersHaveOneForm(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		{"0", "0"}, {"-0", "0"}, {"0.0", "0"}, {"007", "7"}, {"1.50", "1.5"}, {"-12.0", "-12"}, {"1e3", "1000"}, {"1.5E-3", "0.0015"}, {"+5", "5"},
		{"100", "100"}, {"1e100", "1E+100"}, {"12345678901234567890123456789012345678", "12345678901234567890123456789012345678"}, {"0.1", "0.1"},
	} {
		n, err := parseNumber(tc.in)
		if err != nil || n.String() != tc.want {
			t.Errorf("%s is %v, %v, want %s", tc.in, n, err, tc.want)
		}
	}
}

func TestWhatIsNoNumberIsRefused(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", "x", "1.2.3", "1e", "--1", "1_000", "0x10", "NaN", "1.-5", "123456789012345678901234567890123456789", "1e126", "1e-140"} {
		if n, err := parseNumber(in); err == nil {
			t.Errorf("%q was taken as %s", in, n)
		}
	}
}

func anyNumber(t *rapid.T, label string) number {
	digits := rapid.StringMatching(`-?[1-9][0-9]{0,12}(\.[0-9]{1,6})?`).Draw(t, label)
	n, err := parseNumber(digits)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func rational(n number) *big.Rat {
	r, _ := new(big.Rat).SetString(n.String())
	return r
}

func TestNumbersAddAndCompareExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyNumber(t, "a"), anyNumber(t, "b")
		sum, err := a.add(b)
		if err != nil {
			t.Fatal(err)
		}
		if want := new(big.Rat).Add(rational(a), rational(b)); rational(sum).Cmp(want) != 0 {
			t.Fatalf("%s + %s = %s", a, b, sum)
		}
		want := rational(a).Cmp(rational(b))
		if got := a.compare(b); got != want {
			t.Fatalf("compare %s with %s: %d, want %d", a, b, got, want)
		}
		if got := strings.Compare(a.sortable(), b.sortable()); got != want {
			t.Fatalf("sort %s and %s: %d, want %d", a, b, got, want)
		}
	})
}

func TestAStoreKeepsItsOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newStore()
		model := map[[2]string]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			r := &row{hash: rapid.SampledFrom([]string{"a", "b", "a.b"}).Draw(t, "hash"), sort: rapid.StringMatching(`[a-c]{0,2}`).Draw(t, "sort"), bytes: 1}
			if rapid.Bool().Draw(t, "put") {
				s.put(r)
				model[[2]string{r.hash, r.sort}] = true
			} else {
				s.remove(r)
				delete(model, [2]string{r.hash, r.sort})
			}
		}
		var got [][2]string
		for r := range s.all(nil, func(string) bool { return true }) {
			got = append(got, [2]string{r.hash, r.sort})
		}
		inOrder := slices.IsSortedFunc(got, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
		if !inOrder || len(got) != len(model) || s.count != len(model) || s.bytes != len(model) {
			t.Fatalf("%v of %v, count %d", got, model, s.count)
		}
	})
}

func FuzzExpressionsNeverPanic(f *testing.F) {
	for _, s := range []string{"SET q = q + :n, led.#a = :n REMOVE x[1]", "a = :n AND (b < :n OR NOT contains(c, :n))", "attribute_exists(a.b[0].c)", "size(a) < :n", "a IN (:n, :n)", "a BETWEEN :n AND :n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := newNames(map[string]string{"#a": "a"}, item{":n": &numberValue{Value: "1"}})
		it := item{"a": &mapValue{Value: item{"b": &listValue{}}}, "q": &numberValue{Value: "1"}, "x": &listValue{}}
		if c, err := parseCondition("ConditionExpression", s, n); err == nil {
			c.holds(it)
		}
		if u, err := parseUpdate(s, n); err == nil {
			if _, err := u.apply(it, it); err != nil {
				return
			}
		}
		if p, err := parseProjection(s, n); err == nil {
			p.of(it)
		}
	})
}
