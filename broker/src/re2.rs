//! Regular expressions as clients of Kafka write them: for RE2/J. The `regex` crate has nearly its syntax and, like it,
//! takes time linear in the input. What differs is put into its words here, or refused as RE2/J refuses it.

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

/// Most bytes that a compiled expression may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// The greatest count of a repetition.
const REPEAT_MAX: u32 = 1_000;

/// How far the end of a repetition is looked for, and that of a name: else braces without end took quadratic time.
const REPETITION_CHARS_MAX: usize = 32;
const NAME_CHARS_MAX: usize = 32;

/// Letters and digits that mean something behind a backslash, beside octal digits and `Q`.
const ESCAPES: &str = "AbBzdDsSwWpPafnrtvx";

/// What may be a name in `[:name:]`.
const NAMED_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Compiles an expression that must match the whole of a text; the error says what is wrong with it.
pub(crate) fn compile(expression: &str) -> Result<Regex, String> {
    let translated = translate(expression)?;
    // Alone first: parentheses of its own must not close those around it.
    build(&translated)?;
    build(&format!("^(?:{translated})$"))
}

fn build(source: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(source)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build();
    built.map_err(|error| error.to_string())
}

fn translate(expression: &str) -> Result<String, String> {
    let mut rest = expression.chars().peekable();
    let mut out = String::with_capacity(expression.len());
    // Whether what comes before is repeated already: RE2 has no repetition of a repetition.
    let mut is_repeated = false;
    while let Some(next) = rest.next() {
        let repeats = match next {
            '*' | '+' | '?' => Some(next.to_string()),
            '{' => repetition(&mut rest)?,
            _ => None,
        };
        if let Some(repetition) = repeats {
            if is_repeated {
                return Err(format!("invalid nested repetition operator: {repetition}"));
            }
            out.push_str(&repetition);
            if rest.next_if_eq(&'?').is_some() {
                out.push('?');
            }
            is_repeated = true;
            continue;
        }
        is_repeated = false;
        match next {
            '{' => out.push_str(r"\{"),
            '\\' => match rest.next_if_eq(&'Q') {
                Some(_) => quoted(&mut rest, &mut out),
                None => escape(&mut rest, &mut out)?,
            },
            '[' => class(&mut rest, &mut out)?,
            '(' => {
                out.push('(');
                check_flags(rest.clone())?;
                if rest.next_if_eq(&'?').is_some() {
                    out.push('?');
                }
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// What follows a brace, if it counts; else the brace is meant literally.
fn repetition(rest: &mut Peekable<Chars<'_>>) -> Result<Option<String>, String> {
    let near = || rest.clone().take(REPETITION_CHARS_MAX);
    let ahead: String = near().take_while(|&c| c != '}').collect();
    let is_closed = near().any(|c| c == '}');
    let (least, most) = ahead.split_once(',').unwrap_or((&ahead, &ahead));
    let is_count = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if !is_closed || least.is_empty() || !is_count(least) || !is_count(most) {
        return Ok(None);
    }
    for count in [least, most].into_iter().filter(|text| !text.is_empty()) {
        if count.parse().is_ok_and(|count: u32| count <= REPEAT_MAX) {
            continue;
        }
        return Err(format!("invalid repeat count: {{{ahead}}}"));
    }
    rest.nth(ahead.len());
    Ok(Some(format!("{{{ahead}}}")))
}

/// Behind `\Q`: everything up to `\E` means itself.
fn quoted(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut text = String::new();
    while let Some(next) = rest.next() {
        if next == '\\' && rest.next_if_eq(&'E').is_some() {
            break;
        }
        text.push(next);
    }
    // As one, in case it is repeated: RE2 repeats the last character.
    out.push_str(&regex::escape(&text));
}

/// Behind a backslash.
fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let next = rest.next().ok_or("trailing backslash")?;
    let is_octal = |c: &char| ('0'..='7').contains(c);
    // A single digit would refer back.
    if next == '0' || (is_octal(&next) && rest.peek().is_some_and(is_octal)) {
        let mut code = next.to_digit(8).unwrap_or_default();
        for _ in 0..2 {
            let Some(digit) = rest.next_if(is_octal).and_then(|c| c.to_digit(8)) else {
                break;
            };
            code = code * 8 + digit;
        }
        out.push_str(&format!(r"\x{{{code:x}}}"));
    } else if ESCAPES.contains(next) {
        out.push('\\');
        out.push(next);
        // A code or the name of a class, not a count.
        if "xpP".contains(next) && rest.peek() == Some(&'{') {
            for part in rest.by_ref() {
                out.push(part);
                if part == '}' {
                    break;
                }
            }
        }
    } else if next.is_ascii() && !next.is_ascii_alphanumeric() {
        out.push_str(&regex::escape(next.encode_utf8(&mut [0; 4])));
    } else {
        return Err(format!("invalid escape sequence: \\{next}"));
    }
    Ok(())
}

/// Behind the bracket that opens a class: nothing but `[:name:]` is nested, and there are no operations on classes.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut is_first = true;
    while let Some(next) = rest.next() {
        match next {
            ']' if !is_first => {
                out.push(']');
                return Ok(());
            }
            ']' => out.push_str(r"\]"),
            '\\' => escape(rest, out)?,
            '[' if rest.peek() == Some(&':') => match named_class(rest.clone())? {
                Some(name) => {
                    rest.nth(name.len() - 1);
                    out.push('[');
                    out.push_str(&name);
                }
                None => out.push_str(r"\["),
            },
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(next);
            }
            other => out.push(other),
        }
        is_first = false;
    }
    Err("missing closing ]".to_owned())
}

/// What is behind the bracket of `[:name:]`, if it ends as that does.
fn named_class(ahead: Peekable<Chars<'_>>) -> Result<Option<String>, String> {
    let ahead: String = ahead.skip(1).take(NAME_CHARS_MAX).collect();
    let Some((name, _)) = ahead.split_once(":]") else {
        return Ok(None);
    };
    let bare = name.strip_prefix('^').unwrap_or(name);
    match NAMED_CLASSES.contains(&bare) {
        true => Ok(Some(format!(":{name}:]"))),
        false => Err(format!("invalid character class range: [:{name}:]")),
    }
}

/// Behind a parenthesis: a name, or flags that RE2 has.
fn check_flags(mut ahead: Peekable<Chars<'_>>) -> Result<(), String> {
    if ahead.next_if_eq(&'?').is_none() {
        return Ok(());
    }
    for flag in ahead {
        match flag {
            'i' | 'm' | 's' | 'U' | '-' => {}
            ':' | ')' | 'P' | '<' => return Ok(()),
            other => return Err(format!("invalid or unsupported flag: {other}")),
        }
    }
    Err("missing closing )".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, text: &str) -> bool {
        compile(expression)
            .unwrap_or_else(|error| panic!("{expression}: {error}"))
            .is_match(text)
    }

    #[test]
    fn the_whole_text_must_match() {
        assert!(matches("a|b", "b") && !matches("a|b", "ab"));
        assert!(matches("", "") && !matches("", "a"));
    }

    #[test]
    fn what_is_written_otherwise_means_the_same() {
        for (expression, text) in [
            (r"\Qa.b*\E+", "a.b***"),
            (r"\Qa.b", "a.b"),
            (r"a\_b\-c\.d", "a_b-c.d"),
            (r"\056\0563\07", "..3\u{7}"),
            (r"[[:alpha:]_]+[\_-]", "ab_-"),
            ("[[a&&~~b]+", "[a&~b"),
            ("[[:^alpha:]][[:a]+", "7[:a"),
            ("[]^]+", "]^"),
            ("[^]]", "x"),
            ("a{2}b{,2}c{", "aab{,2}c{"),
            ("a{1,2}?", "aa"),
            ("(?i)A(?-i:b)(?P<n>c)", "abc"),
            (r"\x{61}+\pL\p{Lu}\d[\x{4f}]", "aabC7O"),
        ] {
            assert!(matches(expression, text), "{expression}");
        }
        assert!(!matches("[a&&b]", "c") && !matches(r"\Qa.b\E", "axb"));
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for bad in [
            "(",
            "a)(b",
            "[",
            "[a",
            "*",
            "(?=a)b",
            "(?<=a)b",
            r"(a)\1",
            r"\8",
            r"\y",
            r"\u0061",
            r"\",
            "a{1001}",
            "a{2,1}",
            "a**",
            "a+{2}",
            "(?x)a b",
            "(?u)a",
            "(?",
            "[z-a]",
            "[[:nothing:]]",
            "((a{1000}){1000}){1000}",
        ] {
            assert!(compile(bad).is_err(), "{bad}");
        }
    }
}
