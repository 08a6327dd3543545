package envutil_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orchard9/rdev/libs/envutil"
)

type inner struct {
	Size int `env:"SIZE" envDefault:"3"`
}

type config struct {
	Address string        `env:"TEST_ADDRESS" envDefault:"127.0.0.1:8080"`
	Timeout time.Duration `env:"TEST_TIMEOUT" envDefault:"30s"`
	Secret  string        `env:"TEST_SECRET,notEmpty"`
	Debug   bool          `env:"TEST_DEBUG"`
	Origins []string      `env:"TEST_ORIGINS"`
	Inner   inner         `envPrefix:"TEST_INNER_"`
	Other   inner         `envPrefix:"TEST_OTHER_"`
	Derived int           `env:"-"`
}

func TestLoadReadsTheEnvironment(t *testing.T) {
	t.Setenv("TEST_SECRET", "s")
	t.Setenv("TEST_TIMEOUT", "")
	t.Setenv("TEST_ORIGINS", "a,b")
	t.Setenv("TEST_OTHER_SIZE", "4")
	got, err := envutil.Load[config]()
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		Address: "127.0.0.1:8080", Timeout: 30 * time.Second, Secret: "s", Origins: []string{"a", "b"},
		Inner: inner{Size: 3}, Other: inner{Size: 4},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadFromIgnoresTheEnvironment(t *testing.T) {
	t.Setenv("TEST_SECRET", "of the environment")
	if _, err := envutil.LoadFrom[config](nil); err == nil {
		t.Error("the environment was read")
	}
	got, err := envutil.LoadFrom[config](map[string]string{"TEST_SECRET": "given"})
	if err != nil || got.Secret != "given" {
		t.Errorf("got %q, %v", got.Secret, err)
	}
}

func TestLoadPrefixedReadsWhatBeginsWithThePrefix(t *testing.T) {
	t.Setenv("TEST_INNER_SIZE", "5")
	t.Setenv("SIZE", "6")
	got, err := envutil.LoadPrefixed[inner]("TEST_INNER_")
	if err != nil || got.Size != 5 {
		t.Errorf("got %d, %v", got.Size, err)
	}
	t.Setenv("TEST_INNER_SIZE", "many")
	if _, err := envutil.LoadPrefixed[inner]("TEST_INNER_"); err == nil || !strings.Contains(err.Error(), "SIZE: \"many\"") {
		t.Errorf("got %v", err)
	}
}

func TestTheErrorNamesEveryVariableAndWhatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	_, err := envutil.LoadFrom[config](map[string]string{
		"TEST_TIMEOUT": "soon", "TEST_DEBUG": "perhaps", "TEST_INNER_SIZE": "99999999999999999999", "TEST_OTHER_SIZE": "1",
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"environment: ",
		`TEST_TIMEOUT: unable to parse duration: time: invalid duration "soon"`,
		`TEST_DEBUG: "perhaps" is not a valid boolean`,
		`TEST_SECRET is not set`,
		`TEST_INNER_SIZE or TEST_OTHER_SIZE: "99999999999999999999" is not a valid number: value out of range`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in\n%v", want, err)
		}
	}
}

func TestDescribeListsTheVariablesInOrder(t *testing.T) {
	t.Parallel()
	want := []envutil.Variable{
		{Name: "TEST_ADDRESS", Type: "string", Default: "127.0.0.1:8080"},
		{Name: "TEST_TIMEOUT", Type: "time.Duration", Default: "30s"},
		{Name: "TEST_SECRET", Type: "string", Required: true},
		{Name: "TEST_DEBUG", Type: "bool"},
		{Name: "TEST_ORIGINS", Type: "[]string"},
		{Name: "TEST_INNER_SIZE", Type: "int", Default: "3"},
		{Name: "TEST_OTHER_SIZE", Type: "int", Default: "3"},
	}
	if diff := cmp.Diff(want, envutil.Describe[config](), cmpopts.IgnoreUnexported(envutil.Variable{})); diff != "" {
		t.Error(diff)
	}
}
