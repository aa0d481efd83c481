package localdynamo

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

const maxDigits = 38

// number is a DynamoDB number: coefficient × 10^exponent, exact, with at most 38 significant digits.
type number struct {
	coefficient *big.Int // without trailing zeros
	exponent    int
}

func parseNumber(s string) (number, error) {
	mantissa, exp, hasExp := strings.Cut(strings.ToLower(s), "e")
	exponent := 0
	if hasExp {
		n, err := strconv.Atoi(exp)
		if err != nil {
			return number{}, notNumber(s)
		}
		exponent = n
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	coefficient, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok || strings.Contains(fraction, "-") || strings.Contains(fraction, "+") || strings.Contains(s, "_") {
		return number{}, notNumber(s)
	}
	return number{coefficient, exponent - len(fraction)}.normal()
}

func notNumber(s string) error {
	return invalid("The parameter cannot be converted to a numeric value: %s", s)
}

// normal strips trailing zeros and checks the limits.
func (n number) normal() (number, error) {
	if n.coefficient.Sign() == 0 {
		return number{new(big.Int), 0}, nil
	}
	digits := n.coefficient.Text(10)
	trimmed := strings.TrimRight(digits, "0")
	if zeros := len(digits) - len(trimmed); zeros > 0 {
		c, _ := new(big.Int).SetString(trimmed, 10)
		n = number{c, n.exponent + zeros}
	}
	significant := len(strings.TrimPrefix(trimmed, "-"))
	if significant > maxDigits {
		return n, invalid("Attempting to store more than 38 significant digits in a Number")
	}
	switch magnitude := significant + n.exponent; {
	case magnitude > 126:
		return n, invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case magnitude < -129:
		return n, invalid("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	}
	return n, nil
}

func (n number) String() string {
	digits := n.coefficient.Text(10)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	switch {
	case n.exponent >= 0 && len(digits)+n.exponent <= maxDigits:
		return sign + digits + strings.Repeat("0", n.exponent)
	case n.exponent < 0 && -n.exponent < len(digits):
		point := len(digits) + n.exponent
		return sign + digits[:point] + "." + digits[point:]
	case n.exponent < 0 && -n.exponent <= maxDigits:
		return sign + "0." + strings.Repeat("0", -n.exponent-len(digits)) + digits
	}
	return fmt.Sprintf("%s%sE%+d", sign, digits, n.exponent)
}

func (n number) aligned(to int) *big.Int {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n.exponent-to)), nil)
	return scale.Mul(scale, n.coefficient)
}

func (n number) add(m number) (number, error) {
	exponent := min(n.exponent, m.exponent)
	return number{new(big.Int).Add(n.aligned(exponent), m.aligned(exponent)), exponent}.normal()
}

func (n number) negated() number { return number{new(big.Int).Neg(n.coefficient), n.exponent} }

func (n number) compare(m number) int {
	exponent := min(n.exponent, m.exponent)
	return n.aligned(exponent).Cmp(m.aligned(exponent))
}

// sortable is text that sorts as the numbers do.
func (n number) sortable() string {
	sign := n.coefficient.Sign()
	if sign == 0 {
		return "1"
	}
	digits := new(big.Int).Abs(n.coefficient).Text(10)
	magnitude := 1000 + len(digits) + n.exponent
	if sign > 0 {
		return fmt.Sprintf("2%04d%s", magnitude, digits)
	}
	mirrored := strings.Map(func(r rune) rune { return '0' + '9' - r }, digits)
	return fmt.Sprintf("0%04d%s~", 9999-magnitude, mirrored)
}
