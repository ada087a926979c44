//! Makes HTML of a page's Markdown: headings with anchors, links between pages, tables that scroll
//! on a narrow screen.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// What a link to a file of the guide ends in, before the anchor.
const FILE: &str = ".md";

/// A page as HTML.
pub(super) struct Rendered {
    pub(super) html: String,
    /// Its headings, the title first.
    pub(super) headings: Vec<Heading>,
}

pub(super) struct Heading {
    pub(super) level: HeadingLevel,
    /// The id that leads to it.
    pub(super) anchor: String,
    pub(super) html: String,
}

impl Rendered {
    pub(super) fn of(text: &str) -> Self {
        let mut headings = Vec::new();
        let mut events = Vec::new();
        let mut is_in_table = false;
        let mut parser = Parser::new_ext(text, Options::ENABLE_TABLES);
        while let Some(event) = parser.next() {
            match event {
                Event::Start(Tag::Heading { level, .. }) => {
                    let inner = parser
                        .by_ref()
                        .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
                    let heading = Heading::of(level, inner.collect());
                    events.push(Event::Html(heading.linked_to_itself().into()));
                    headings.push(heading);
                }
                Event::Start(Tag::Table(columns)) => {
                    is_in_table = true;
                    events.push(Event::Html("<div class=\"table\">".into()));
                    events.push(Event::Start(Tag::Table(columns)));
                }
                Event::End(TagEnd::Table) => {
                    is_in_table = false;
                    events.push(event);
                    events.push(Event::Html("</div>".into()));
                }
                Event::Start(Tag::Link {
                    link_type,
                    dest_url,
                    title,
                    id,
                }) => events.push(Event::Start(Tag::Link {
                    link_type,
                    dest_url: address(&dest_url).into(),
                    title,
                    id,
                })),
                Event::Code(_) if is_in_table => events.push(Event::Html(breakable(event).into())),
                event => events.push(event),
            }
        }
        let mut html = String::new();
        html::push_html(&mut html, events.into_iter());
        Self { html, headings }
    }

    /// The title of the page, as HTML.
    pub(super) fn title(&self) -> &str {
        self.headings.first().map_or("", |title| &title.html)
    }
}

impl Heading {
    fn of(level: HeadingLevel, inner: Vec<Event<'_>>) -> Self {
        let anchor = anchor(&inner);
        let mut html = String::new();
        html::push_html(&mut html, inner.into_iter());
        Self {
            level,
            anchor,
            html,
        }
    }

    fn linked_to_itself(&self) -> String {
        let Self {
            level,
            anchor,
            html,
        } = self;
        format!("<{level} id=\"{anchor}\"><a href=\"#{anchor}\">{html}</a></{level}>\n")
    }
}

/// Code in a table, where a line may end between the parts of a path or a name.
fn breakable(code: Event<'_>) -> String {
    let mut html = String::new();
    html::push_html(&mut html, std::iter::once(code));
    let inner = html.strip_prefix("<code>");
    let inner = inner.and_then(|html| html.strip_suffix("</code>"));
    let Some(inner) = inner else { return html };
    // The first letter is never the end of a part.
    let mut letters = inner.chars();
    let first: String = letters.next().into_iter().collect();
    let rest = ["/", "_", "::"]
        .iter()
        .fold(letters.as_str().to_owned(), |text, end| {
            text.replace(end, &format!("{end}<wbr>"))
        });
    format!("<code>{first}{rest}</code>")
}

/// The anchor that GitHub and rustdoc give a heading, too.
fn anchor(heading: &[Event<'_>]) -> String {
    let texts = heading.iter().filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
        _ => None,
    });
    let letters = texts
        .flat_map(str::chars)
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            letter => letter.is_alphanumeric().then_some(letter),
        });
    letters.flat_map(char::to_lowercase).collect()
}

/// Where a link leads in the program, whose pages have no ending.
fn address(link: &str) -> String {
    let (file, anchor) = link.split_at(link.find('#').unwrap_or(link.len()));
    match file.strip_suffix(FILE) {
        Some(page) if !page.contains('/') => format!("{page}{anchor}"),
        _ => link.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_a_link_to_itself_under_the_anchor_that_github_gives_it() {
        let check = |text: &str, anchor: &str, inner: &str| {
            let expected = format!("<h2 id=\"{anchor}\"><a href=\"#{anchor}\">{inner}</a></h2>\n");
            assert_eq!(Rendered::of(text).html, expected);
        };
        check("## Push it", "push-it", "Push it");
        check(
            "## What's `/_emulator/`?",
            "whats-_emulator",
            "What's <code>/_emulator/</code>?",
        );
        check("## A & B, C", "a--b-c", "A &amp; B, C");
        check("## Größe", "größe", "Größe");
    }

    #[test]
    fn links_between_pages_lose_the_ending_of_the_file_and_others_are_left_alone() {
        let check = |link: &str, expected: &str| assert_eq!(address(link), expected);
        check("seed-file.md", "seed-file");
        check("operations.md#control", "operations#control");
        check("#control", "#control");
        check("https://example.com/a.md", "https://example.com/a.md");
    }

    #[test]
    fn a_table_scrolls_in_a_box_of_its_own_and_code_in_it_is_text_that_can_be_broken() {
        let rendered = Rendered::of("| a |\n|---|\n| `<b>` `/a/b_c` |\n");
        let html = rendered.html.replace('\n', "");
        assert_eq!(
            html,
            "<div class=\"table\"><table><thead><tr><th>a</th></tr></thead>\
             <tbody><tr><td><code>&lt;b&gt;</code> \
             <code>/a/<wbr>b_<wbr>c</code></td></tr></tbody></table></div>"
        );
        assert_eq!(Rendered::of("`a/b`").html, "<p><code>a/b</code></p>\n");
        assert_eq!(Rendered::of("# T\n\n## S\n").title(), "T");
    }
}
