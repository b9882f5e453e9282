-- name: add_book
INSERT INTO books (hash, applied_at, actor, changes, content) VALUES (?, ?, ?, ?, ?);

-- name: forget_book_content
UPDATE books SET content = NULL WHERE number = (SELECT max(number) FROM books);

-- name: book_content
SELECT hash, content FROM books WHERE number = (SELECT max(number) FROM books);

-- name: books
SELECT number, hash, applied_at, actor, changes FROM books WHERE number < ?
ORDER BY number DESC LIMIT ?;
