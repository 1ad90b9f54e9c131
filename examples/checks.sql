-- Queries that must return no row; a failed one ends the run with exit 6.

-- name: no_birthday_in_the_future
SELECT item_id FROM passport WHERE run_id = getvariable('run_id') AND dob > current_date;

-- name: no_image_failed_three_times
SELECT item_id FROM dead_letters_open GROUP BY item_id HAVING count(*) > 2;

-- warn: few_passports_without_a_number
SELECT item_id FROM passport WHERE run_id = getvariable('run_id') AND (id IS NULL OR id = '');
